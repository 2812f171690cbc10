/**
 * A Yocto deploy directory, `tmp/deploy/images/<machine>`. Names follow image-artifact-names.bbclass; releases up to
 * kirkstone have the timestamp before `.rootfs`, later ones after it, and their links lack or have `.rootfs`.
 */
import type { Dirent } from 'node:fs';
import { readFile, readdir, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compareUtf8 } from '../core/bytes.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { BuildInputs } from './inputs.ts';
import type { DeviceTreeFile } from './boot-files.ts';
import type { YoctoSpec } from './types.ts';
import { readKernelSource, readLayers } from './yocto-build.ts';
import { yoctoPackages } from './yocto-packages.ts';

/** Ways an archive may be compressed, the fastest to unpack first. */
const SUFFIXES = ['.tar', '.tar.zst', '.tar.lz4', '.tar.gz', '.tar.xz', '.tar.bz2'];
const ARCHIVE = /^(.+?)\.tar(?:\.(?:zst|lz4|gz|xz|bz2))?$/;
const INITRAMFS = /\.cpio(?:\.(?:gz|zst|xz|lz4|lzma|bz2|lzo))?$/;
/** SBOMs of SPDX 3.0 and 2.2, and the list of packages. */
const DOCUMENTS = ['.spdx.json', '.spdx.tar.zst', '.manifest'];
/** Deployed by the kernel where meta-treewright is in use (treewright-kernel.bbclass). */
const KERNEL_SOURCE = 'treewright-kernel-source.json';
const TIMESTAMP = /-\d{12,14}(?=\.|$)/;

/** Only these are read: testdata.json has all of the build's variables, passwords of mirrors included. */
const TESTDATA_KEYS = [
  'MACHINE',
  'DISTRO_VERSION',
  'DISTRO_NAME',
  'TARGET_ARCH',
  'TUNE_ARCH',
  'IMAGE_BASENAME',
  'KERNEL_IMAGETYPE',
  'KERNEL_DEVICETREE',
  'KERNEL_DTBVENDORED',
  'INITRAMFS_IMAGE',
  'INITRAMFS_IMAGE_BUNDLE',
] as const;
type Testdata = Partial<Record<(typeof TESTDATA_KEYS)[number], string>>;

const USUAL_KERNELS = ['fitImage', 'Image', 'Image.gz', 'zImage', 'bzImage', 'uImage', 'vmlinuz', 'vmlinux'];

interface Candidate {
  /** `core-image-minimal-verdin`: image and machine without `.rootfs`, timestamp and suffix. */
  readonly identity: string;
  readonly file: string;
  readonly link: boolean;
}

export async function yoctoInputs(spec: YoctoSpec): Promise<BuildInputs> {
  const { deploy } = spec;
  const entries = await readdir(deploy, { withFileTypes: true }).catch((error: unknown) => {
    throw new TreewrightError(
      'input/unreadable',
      `${deploy} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path: deploy } },
    );
  });
  const names = new Set(entries.map(({ name }) => name));
  const identity = await chooseImage(spec, entries, names);
  const archive = SUFFIXES.flatMap((suffix) => [`${identity}.rootfs${suffix}`, `${identity}${suffix}`]).find(
    (name) => names.has(name),
  );
  const rootfs = archive ?? newest(identity, entries);
  const testdata = await readTestdata(deploy, identity, names);
  const kernel = kernelFile(testdata, names);
  const initramfs = initramfsFile(testdata, names);
  const arch = architecture(testdata);
  const version = testdata.DISTRO_VERSION;
  const kernelSource = await readKernelSource(join(deploy, KERNEL_SOURCE));
  const beside = (suffix: string): string | undefined => {
    const name = companion(identity, suffix, names);
    return name === undefined ? undefined : join(deploy, name);
  };
  return {
    kind: 'yocto',
    rootfs: join(deploy, rootfs),
    boot: {
      searched: `in ${deploy}${testdata.KERNEL_IMAGETYPE === undefined ? '' : ` as ${testdata.KERNEL_IMAGETYPE}`}`,
      ...(kernel === undefined ? {} : { kernel: join(deploy, kernel.file), kernelName: kernel.name }),
      ...(initramfs === undefined ? {} : { initramfs: join(deploy, initramfs) }),
      ...(kernel?.bundled === true ? { bundled: true } : {}),
      deviceTrees: await deviceTrees(deploy, entries, testdata),
    },
    ...(await yoctoPackages(spec, beside('.manifest'), beside('.spdx.json') ?? beside('.spdx.tar.zst'))),
    ...(kernelSource === undefined ? {} : { kernelSource }),
    layers: spec.buildInfo === undefined ? [] : await readLayers(spec.buildInfo),
    documents: DOCUMENTS.flatMap((suffix) => beside(suffix) ?? []),
    ...(testdata.MACHINE === undefined ? {} : { machine: testdata.MACHINE }),
    ...(arch === undefined ? {} : { arch }),
    ...(version === undefined || version === '' ? {} : { version }),
    tool: ['Yocto', testdata.DISTRO_NAME, version]
      .filter((text) => text !== undefined && text !== '')
      .join(' '),
    diagnostics: [],
  };
}

/** `<image>-<machine>` of an archive's or a link's name, for both generations of names. */
export function imageIdentity(name: string): string | undefined {
  const stem = ARCHIVE.exec(name)?.[1];
  if (stem === undefined || stem.endsWith('.spdx') || stem.startsWith('modules-')) return undefined;
  return stem.replace(TIMESTAMP, '').replace(/\.rootfs$/, '');
}

function candidates(entries: readonly Dirent[]): Candidate[] {
  return entries.flatMap((entry) => {
    const identity = imageIdentity(entry.name);
    return identity === undefined ? [] : [{ identity, file: entry.name, link: entry.isSymbolicLink() }];
  });
}

async function chooseImage(
  spec: YoctoSpec,
  entries: readonly Dirent[],
  names: ReadonlySet<string>,
): Promise<string> {
  const identities = [...new Set(candidates(entries).map(({ identity }) => identity))].sort(compareUtf8);
  const list = identities.join(', ');
  if (identities.length === 0) {
    throw new TreewrightError(
      'input/no-rootfs-tar',
      `${spec.deploy} has no archive of a root filesystem; add tar.zst to IMAGE_FSTYPES ` +
        'and set IMAGE_CMD_TAR = "tar --xattrs --xattrs-include=*"',
      { data: { path: spec.deploy } },
    );
  }
  if (spec.image !== undefined) {
    const wanted = spec.image;
    const machines = new Map<string, string | undefined>();
    for (const identity of identities) {
      machines.set(identity, (await readTestdata(spec.deploy, identity, names)).MACHINE);
    }
    const exact = identities.filter(
      (identity) =>
        identity === wanted || identity === `${wanted}-${machines.get(identity) ?? basename(spec.deploy)}`,
    );
    const loose =
      exact.length > 0 ? exact : identities.filter((identity) => identity.startsWith(`${wanted}-`));
    const [only] = loose;
    if (loose.length === 1 && only !== undefined) return only;
    throw new TreewrightError(
      'input/no-such-image',
      `${spec.deploy} has no image ${wanted}; it has ${list}`,
      {
        data: { images: identities },
      },
    );
  }
  const [only, second] = likelyImages(identities);
  if (only !== undefined && second === undefined) return only;
  throw new TreewrightError(
    'input/several-images',
    `${spec.deploy} has ${identities.length} images (${list}); name one of them with --image, ` +
      'or with image: beside yocto: in treewright.yaml',
    { data: { images: identities } },
  );
}

/** An initramfs or a debug file system beside the image is not what a release is made of. */
function likelyImages(identities: readonly string[]): readonly string[] {
  const likely = identities.filter((identity) => !/initramfs|initrd|-dbg$/.test(identity));
  return likely.length === 0 ? identities : likely;
}

/** The images that a release may be made of, by the names that `image` takes; the shortest first. */
export async function yoctoImages(deploy: string): Promise<string[]> {
  const identities = candidates(await readdir(deploy, { withFileTypes: true })).map(
    ({ identity }) => identity,
  );
  const machine = `-${basename(deploy)}`;
  return likelyImages([...new Set(identities)].sort(compareUtf8))
    .map((identity) => (identity.endsWith(machine) ? identity.slice(0, -machine.length) : identity))
    .sort((a, b) => a.length - b.length);
}

/** Without links, as after a copy by a build server: the file with the latest timestamp. */
function newest(identity: string, entries: readonly Dirent[]): string {
  const files = candidates(entries)
    .filter((candidate) => candidate.identity === identity)
    .map(({ file }) => file)
    .sort(compareUtf8);
  const last = files[files.length - 1];
  if (last === undefined) throw new TreewrightError('internal/no-archive', `no archive of ${identity}`);
  const stamp = TIMESTAMP.exec(last)?.[0];
  const same = files.filter((file) => TIMESTAMP.exec(file)?.[0] === stamp);
  return SUFFIXES.flatMap((suffix) => same.filter((file) => file.endsWith(suffix)))[0] ?? last;
}

async function readTestdata(deploy: string, identity: string, names: ReadonlySet<string>): Promise<Testdata> {
  const name = companion(identity, '.testdata.json', names);
  if (name === undefined) return {};
  const path = join(deploy, name);
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new TreewrightError('input/bad-testdata', `${path} is not JSON as the build writes it`, {
      cause: error,
      data: { path },
    });
  }
  const values = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  const picked: Testdata = {};
  for (const key of TESTDATA_KEYS) {
    const value = values[key];
    // A value that BitBake could not expand is of no use.
    if (typeof value === 'string' && value.trim() !== '' && !value.includes('${')) picked[key] = value.trim();
  }
  return picked;
}

/** The file of an image with another suffix: by its link, or the latest of the timestamped ones. */
function companion(identity: string, suffix: string, names: ReadonlySet<string>): string | undefined {
  for (const name of [`${identity}.rootfs${suffix}`, `${identity}${suffix}`])
    if (names.has(name)) return name;
  return [...names]
    .filter((name) => name.endsWith(suffix))
    .filter(
      (name) =>
        name
          .slice(0, -suffix.length)
          .replace(TIMESTAMP, '')
          .replace(/\.rootfs$/, '') === identity,
    )
    .sort(compareUtf8)
    .pop();
}

interface KernelFile {
  readonly file: string;
  readonly name: string;
  readonly bundled: boolean;
}

/** Links are named by the kernel's type: `Image`, `Image-<machine>.bin`, `Image-initramfs-<machine>.bin`. */
function kernelFile(testdata: Testdata, names: ReadonlySet<string>): KernelFile | undefined {
  const { KERNEL_IMAGETYPE: type, MACHINE: machine, INITRAMFS_IMAGE: initramfs } = testdata;
  const types = type === undefined ? USUAL_KERNELS : [type];
  for (const name of types) {
    if (testdata.INITRAMFS_IMAGE_BUNDLE === '1') {
      const bundled = [`${name}-initramfs-${machine ?? ''}.bin`, `${name}-initramfs.bin`].find((file) =>
        names.has(file),
      );
      if (bundled !== undefined) return { file: bundled, name, bundled: true };
    }
    if (name === 'fitImage' && initramfs !== undefined) {
      const fit = [...names].filter(
        (file) => file.startsWith(`fitImage-${initramfs}-`) && !TIMESTAMP.test(file),
      );
      const [first] = fit.sort((a, b) => a.length - b.length || compareUtf8(a, b));
      if (first !== undefined) return { file: first, name, bundled: true };
    }
    const plain = [name, `${name}-${machine ?? ''}.bin`, `${name}-${machine ?? ''}`].find((file) =>
      names.has(file),
    );
    if (plain !== undefined) return { file: plain, name, bundled: false };
  }
  return undefined;
}

function initramfsFile(testdata: Testdata, names: ReadonlySet<string>): string | undefined {
  const { INITRAMFS_IMAGE: image, MACHINE: machine } = testdata;
  if (image === undefined || machine === undefined || testdata.INITRAMFS_IMAGE_BUNDLE === '1')
    return undefined;
  if (testdata.KERNEL_IMAGETYPE === 'fitImage') return undefined;
  const stems = [`${image}-${machine}`, `${image}-${machine}.rootfs`];
  return [...names]
    .filter((name) => INITRAMFS.test(name) && stems.includes(name.replace(INITRAMFS, '')))
    .sort(compareUtf8)[0];
}

/**
 * Deploying drops the vendor directory of KERNEL_DEVICETREE; KERNEL_DTBVENDORED asks for it on the target.
 * Links beside a device tree, and copies of it under the links' names, are left out.
 */
async function deviceTrees(
  deploy: string,
  entries: readonly Dirent[],
  testdata: Testdata,
): Promise<DeviceTreeFile[]> {
  const vendored = new Map<string, string>();
  if (testdata.KERNEL_DTBVENDORED === '1') {
    for (const path of (testdata.KERNEL_DEVICETREE ?? '').split(/\s+/)) vendored.set(basename(path), path);
  }
  const all = entries.filter(({ name }) => /\.dtbo?$/.test(name));
  const present = new Set(all.map(({ name }) => name));
  const found: DeviceTreeFile[] = [];
  for (const entry of all) {
    if (entry.isSymbolicLink()) {
      const target = await readlink(join(deploy, entry.name));
      if (present.has(target)) continue;
    } else if (isCopy(entry.name, present, testdata.MACHINE)) continue;
    found.push({ path: join(deploy, entry.name), name: vendored.get(entry.name) ?? entry.name });
  }
  return found.sort((a, b) => compareUtf8(a.name, b.name));
}

/** `x--6.1-r0-<machine>-<time>.dtb` and `x-<machine>.dtb` beside `x.dtb`: a build server copied links as files. */
function isCopy(name: string, present: ReadonlySet<string>, machine: string | undefined): boolean {
  const suffix = name.slice(name.lastIndexOf('.'));
  const stem = name.slice(0, -suffix.length);
  const versioned = /^(.+?)--.+-\d{12,14}$/.exec(stem)?.[1];
  const byMachine =
    machine !== undefined && stem.endsWith(`-${machine}`) ? stem.slice(0, -machine.length - 1) : undefined;
  return [versioned, byMachine].some((base) => base !== undefined && present.has(base + suffix));
}

/** `uname -m` names; what an ELF header tells better is left to the programs in the tree. */
function architecture(testdata: Testdata): string | undefined {
  const arch = testdata.TARGET_ARCH;
  if (arch === undefined) return undefined;
  if (arch === 'arm') {
    const tune = testdata.TUNE_ARCH ?? '';
    return /v5/.test(tune) ? 'armv5tel' : /v6/.test(tune) ? 'armv6l' : 'armv7l';
  }
  return /^i[3-6]86$/.test(arch) ? 'i686' : arch === 'powerpc64le' ? 'ppc64le' : arch;
}
