/** The disk of a board around the file systems of a release. */
import { dirname, join } from 'node:path';
import fg from 'fast-glob';
import type { Config } from '../config/types.ts';
import { TreewrightError } from '../core/errors.ts';
import { initialEnvironments } from '../boot/initial-environment.ts';
import type { DiskBlob, DiskLayout, FatSource, LinuxPartition } from '../boot/image/disk-layout.ts';
import type { BootPlan } from '../boot/plan.ts';

/** The layout of the disk; boot loaders and firmware are looked up in the build's images. */
export async function diskLayout(
  config: Config,
  plan: BootPlan,
  seed: string,
  boot: LinuxPartition | undefined,
): Promise<DiskLayout> {
  const { board } = config.boot;
  if (board?.disk === undefined) {
    throw new TreewrightError(
      'config/no-disk',
      board === undefined
        ? 'a disk image needs boot.board, which says what the disk holds besides the root filesystem; ' +
            '--format ext4 or tar makes the root filesystem alone'
        : `the board ${board.name} says nothing about its disk: add \`disk:\` to the board file, or use --format ext4 or tar`,
    );
  }
  const { disk } = board;
  const images = imagesDirectory(config);
  const blobs: DiskBlob[] = [];
  const files: FatSource[] = [];
  const state = plan.loader === 'extlinux' ? [] : initialEnvironments(plan.board, plan.rollback);
  for (const [index, { location, bytes }] of state.entries()) {
    const store = plan.board.environment;
    if (store.kind === 'raw') {
      blobs.push({
        name: `U-Boot environment${index === 0 ? '' : ' (second copy)'}`,
        offset: location.offset,
        bytes,
      });
    } else if (store.kind === 'fat-file') {
      files.push({ target: store.file.replace(/^\//, ''), bytes });
    }
  }
  if (disk.fat !== undefined) files.push(...(await fatFiles(disk.fat.files, images, board.name)));
  return {
    board: board.name,
    table: disk.table,
    loaders: disk.loaders.map(({ file, offset }) => ({ path: join(images, file), offset })),
    loaderPartitions: disk.loaderPartitions.map(({ name, type, offset, size, file }) => ({
      name,
      size,
      ...(type === undefined ? {} : { type }),
      ...(offset === undefined ? {} : { offset }),
      ...(file === undefined ? {} : { path: join(images, file) }),
    })),
    blobs,
    ...(disk.fat === undefined ? {} : { fat: { size: disk.fat.size, label: disk.fat.label, files } }),
    ...(boot === undefined ? {} : { boot }),
    firstPartition: disk.firstPartition,
    alignment: disk.alignment,
    time: plan.timestamp,
    root: { label: config.image.label, seed },
  };
}

/** Where a build leaves boot loaders and firmware. */
function imagesDirectory({ source }: Config): string {
  switch (source.kind) {
    case 'buildroot':
      return join(source.output, 'images');
    case 'yocto':
      return source.deploy;
    case 'rootfs':
      return dirname(source.rootfs);
  }
}

async function fatFiles(
  wanted: readonly { readonly file: string; readonly to?: string }[],
  images: string,
  board: string,
): Promise<FatSource[]> {
  const found: FatSource[] = [];
  for (const { file, to } of wanted) {
    const paths = (await fg(file, { cwd: images, onlyFiles: true, dot: true })).sort();
    if (paths.length === 0) {
      throw new TreewrightError(
        'input/no-boot-file',
        `the board ${board} wants ${file} on its FAT partition, and ${images} has no such file`,
        { data: { file, images } },
      );
    }
    for (const path of paths) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const target = to === undefined ? name : to.endsWith('/') ? `${to}${name}` : to;
      found.push({ target, path: join(images, path) });
    }
  }
  return found;
}
