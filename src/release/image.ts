/** `treewright image`: from a release to what a new device is written with. */
import { dirname, join } from 'node:path';
import { renderBootScript } from '../boot/boot-script.ts';
import { contentOpener } from '../boot/image/content.ts';
import { planDisk } from '../boot/image/disk.ts';
import type { LinuxPartition } from '../boot/image/disk-layout.ts';
import { bmapOf, writeDisk } from '../boot/image/disk-write.ts';
import { writeExt4 } from '../boot/image/ext4.ts';
import type { Ext4Options, Ext4Plan } from '../boot/image/ext4-plan.ts';
import { planExt4 } from '../boot/image/ext4-plan.ts';
import { renderGenimage } from '../boot/image/genimage.ts';
import { partFiles, writePartFiles } from '../boot/image/part-files.ts';
import type { Sysroot } from '../boot/image/sysroot.ts';
import { buildSysroot } from '../boot/image/sysroot.ts';
import { checkSysroot } from '../boot/image/sysroot-checks.ts';
import { writeSysrootTar } from '../boot/image/sysroot-tar.ts';
import { renderWks } from '../boot/image/wks.ts';
import type { BootPlan } from '../boot/plan.ts';
import type { Config } from '../config/types.ts';
import type { Checksum } from '../core/checksum.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { guidBytes, uuidFromSeed } from '../formats/uuid.ts';
import { writeFileAtomic } from '../platform/files.ts';
import type { ImageTarget } from '../platform/image-file.ts';
import { createImageFile } from '../platform/image-file.ts';
import type { TreeNode } from '../tree/types.ts';
import { walk } from '../tree/walk.ts';
import { tellAll } from './boot-checks.ts';
import { planRelease } from './boot-plan.ts';
import { diskLayout } from './image-disk.ts';
import type { ReleaseManifest } from './manifest.ts';
import type { OpenedRelease, OpenReleaseOptions } from './open-release.ts';
import { openRelease } from './open-release.ts';

/** `genimage` and `wic` are directories with the parts and a configuration for those who keep their own image step. */
export const IMAGE_FORMATS = ['tar', 'ext4', 'disk', 'genimage', 'wic'] as const;

export type ImageFormat = (typeof IMAGE_FORMATS)[number];

export interface ImageOptions extends OpenReleaseOptions {
  readonly format: ImageFormat;
  /** The file, or the directory for genimage and wic. */
  readonly output: string;
}

export interface ImageReport {
  readonly version: string;
  readonly commit: Checksum;
  readonly format: ImageFormat;
  readonly output: string;
  /** Everything that was written. */
  readonly files: readonly string[];
  /** Bytes of the image; what a tar takes is not counted. */
  readonly size?: number;
  /** Bytes that are free in the root filesystem. */
  readonly free?: number;
  readonly partitions?: readonly {
    readonly number: number;
    readonly name: string;
    readonly start: number;
    readonly size: number;
    readonly partUuid: string;
  }[];
}

/** Writes the image, whole or not at all. */
export async function makeImage(options: ImageOptions): Promise<ImageReport> {
  const { config, format, output, events } = options;
  const { manifest, repo, bootFile } = await openRelease(options);
  if (manifest.boot === undefined) {
    throw new TreewrightError(
      'config/no-boot-loader',
      `release ${manifest.version} was made with boot.loader: none`,
    );
  }
  checkRoot(manifest.boot.kargs);
  const { commit } = manifest.ostree;
  events({ type: 'stage', stage: 'boot', title: 'Planning the image' });
  const plan = await planRelease(config, repo, commit, {
    kargs: manifest.boot.kargs,
    loader: manifest.boot.loader,
    source: manifest.source,
  });
  const found = await checkDevice(config, manifest, plan, repo);
  tellAll([...plan.diagnostics, ...found], events, 'no device could use this image');
  warnOfOtherScript(plan, await bootFile('boot/boot.cmd'), events);
  // That of the release, whatever the configuration has become since; a signed one is not signed again.
  const script = await bootFile('boot/boot.scr');
  const sysroot = await sysrootOf(config, manifest, plan, repo, script);
  warnOfRemote(options, manifest);
  const openContent = contentOpener(repo);
  const done = (report: Omit<ImageReport, 'version' | 'commit' | 'format' | 'output'>): ImageReport => {
    events({ type: 'done', stage: 'boot', summary: `${output} written` });
    return { version: manifest.version, commit, format, output, ...report };
  };

  if (format === 'tar') {
    events({ type: 'stage', stage: 'boot', title: 'Writing the archive' });
    await writeSysrootTar(sysroot, openContent, output);
    return done({ files: [output] });
  }
  const seed = `${manifest.product}/${manifest.machine}/${commit}`;
  const root = planExt4(
    { tree: sysroot.tree, immutable: sysroot.immutable, mtime: sysroot.mtime },
    {
      ...identity(seed, 'root', config.image.label, plan.timestamp),
      space:
        config.image.size === undefined ? { free: freeFor(config, sysroot) } : { size: config.image.size },
    },
  );
  const writeRoot = async (target: ImageTarget): Promise<void> => {
    events({ type: 'stage', stage: 'boot', title: 'Writing the root filesystem' });
    await writeExt4(root, openContent, target);
  };
  if (format === 'ext4') {
    if (sysroot.boot !== undefined) {
      throw new TreewrightError(
        'config/boot-partition',
        'image.boot-partition needs a disk to put it on: use --format disk, genimage or wic, or leave it out',
      );
    }
    const map = await writeImage(output, root.size, writeRoot);
    return done({ files: [output, map], size: root.size, free: root.free });
  }

  const boot = bootPartition(config, sysroot, plan, seed, openContent);
  const disk = await planDisk(await diskLayout(config, plan, seed, boot), root.size);
  const partitions = disk.partitions.map(({ number, name, start, size, partUuid }) => ({
    number,
    name,
    start,
    size,
    partUuid,
  }));
  const facts = { size: disk.size, free: root.free, partitions };
  if (format === 'disk') {
    const image = await createImageFile(output);
    await writeDisk(disk, writeRoot, image);
    const map = `${output}.bmap`;
    await writeFileAtomic(map, await bmapOf(output, image.mapped()));
    return done({ files: [output, map], ...facts });
  }
  const parts = partFiles(disk, format, writeRoot);
  await writePartFiles(output, parts);
  const [name, text] =
    format === 'genimage'
      ? ['genimage.cfg', renderGenimage(disk, `${manifest.product}.img`)]
      : [`${manifest.product}.wks`, renderWks(disk, `${manifest.product} for ${manifest.machine}`)];
  await writeFileAtomic(join(output, name), text);
  return done({ files: [...parts.map((part) => join(output, part.name)), join(output, name)], ...facts });
}

/** Whoever starts the kernel must tell it, or the initramfs, where the root is. */
function checkRoot(kargs: readonly string[]): void {
  if (kargs.some((argument) => argument.startsWith('root='))) return;
  throw new TreewrightError(
    'config/no-root',
    'the release has no kernel argument root=, so nothing would find the root filesystem of the image: ' +
      'set boot.root, such as LABEL=root, and make the release again',
  );
}

/** What the device could not do with the image. */
function checkDevice(
  config: Config,
  manifest: ReleaseManifest,
  plan: BootPlan,
  repo: OpenedRelease['repo'],
): Promise<Diagnostic[]> {
  const { libostree } = manifest.source;
  return checkSysroot(repo, plan, {
    readonly: config.image.sysrootReadonly,
    boot: config.image.bootPartition === undefined ? 'root' : 'ext4',
    ...(libostree === undefined ? {} : { libostree }),
  });
}

function warnOfRemote({ config, events }: ImageOptions, manifest: ReleaseManifest): void {
  const { remote } = config.image;
  if (remote === undefined) {
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        code: 'config/no-remote',
        message:
          'image.remote is not set: the device does not know where updates come from until somebody adds a remote',
      },
    });
  } else if (!remote.verify || manifest.ostree.publicKeys.length === 0) {
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        code: 'config/unverified-remote',
        message: 'the device will take updates without checking a signature (image.remote.verify: false)',
      },
    });
  }
}

/** The image's boot state and partitions follow the configuration, and its script comes from the release. */
function warnOfOtherScript(
  { board, rollback, signing }: BootPlan,
  released: Uint8Array | undefined,
  events: EventSink,
): void {
  if (released === undefined) return;
  const now = renderBootScript(board, rollback, { signed: signing !== undefined });
  if (Buffer.from(released).equals(Buffer.from(now))) return;
  events({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      code: 'config/boot-script-changed',
      message:
        'the configuration would give another boot script than the release has, and the image gets that of the release: ' +
        'when the board or boot.rollback has changed, make a release first',
    },
  });
}

function sysrootOf(
  config: Config,
  manifest: ReleaseManifest,
  plan: BootPlan,
  repo: OpenedRelease['repo'],
  script: Uint8Array | undefined,
): Promise<Sysroot> {
  const { image } = config;
  const { libostree } = manifest.source;
  return buildSysroot(repo, plan, {
    branch: manifest.ostree.branch,
    remote: {
      name: image.remote?.name ?? 'origin',
      ...(image.remote === undefined ? {} : { url: image.remote.url }),
      publicKeys: image.remote?.verify === true ? manifest.ostree.publicKeys : [],
    },
    readonly: image.sysrootReadonly,
    seedVar: image.seedVar,
    bootFiles: new Map(script === undefined ? [] : [['boot.scr', script]]),
    ...(libostree === undefined ? {} : { libostree }),
    ...(image.bootPartition === undefined ? {} : { bootPartition: true }),
  });
}

function identity(seed: string, purpose: string, label: string, time: number): Omit<Ext4Options, 'space'> {
  return {
    label,
    uuid: guidBytesBigEndian(uuidFromSeed(seed, `${purpose} file system`)),
    hashSeed: guidBytesBigEndian(uuidFromSeed(seed, `${purpose} directory hash`)),
    time,
  };
}

/** File systems keep the bytes of a UUID in the order in which it is written. */
function guidBytesBigEndian(uuid: string): Uint8Array {
  guidBytes(uuid);
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

/** The free space that is asked for, in bytes. */
function freeFor({ image }: Config, sysroot: Sysroot): number {
  if ('bytes' in image.margin) return image.margin.bytes;
  const seen = new Set<TreeNode>();
  let bytes = 0;
  walk(sysroot.tree, (_, node) => {
    if (seen.has(node) || node.kind !== 'file') return;
    seen.add(node);
    bytes += node.content.kind === 'stored' ? node.content.size : node.content.bytes.length;
  });
  return Math.ceil(bytes * image.margin.ratio);
}

function bootPartition(
  config: Config,
  sysroot: Sysroot,
  plan: BootPlan,
  seed: string,
  openContent: ReturnType<typeof contentOpener>,
): LinuxPartition | undefined {
  const size = config.image.bootPartition;
  if (sysroot.boot === undefined || size === undefined) return undefined;
  const planned: Ext4Plan = planExt4(
    { tree: sysroot.boot, immutable: new Set(), mtime: sysroot.mtime },
    { ...identity(seed, 'boot', 'boot', plan.timestamp), space: { size } },
  );
  if (planned.free < plan.bootBytes) {
    throw new TreewrightError(
      'config/boot-too-small',
      `an update brings another ${Math.ceil(plan.bootBytes / 2 ** 20)} MiB to /boot, and image.boot-partition leaves ` +
        `${Math.floor(planned.free / 2 ** 20)} MiB free: raise it`,
      { data: { needed: plan.bootBytes, free: planned.free } },
    );
  }
  return { size, label: 'boot', write: (target) => writeExt4(planned, openContent, target) };
}

/** Writes a file system and its block map; answers the name of the map. */
async function writeImage(
  output: string,
  size: number,
  write: (target: ImageTarget) => Promise<void>,
): Promise<string> {
  const image = await createImageFile(output);
  try {
    await write(image);
    await image.finish(size);
  } catch (error) {
    await image.abort();
    throw error;
  }
  const map = join(dirname(output), `${output.slice(output.lastIndexOf('/') + 1)}.bmap`);
  await writeFileAtomic(map, await bmapOf(output, image.mapped()));
  return map;
}
