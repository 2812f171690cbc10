/**
 * The configuration of genimage that puts the same disk together from files.
 * Source: genimage 16, README.rst, image-hd.c, image-vfat.c; strings are libconfuse's.
 */
import { basename } from 'node:path';
import { TreewrightError } from '../../core/errors.ts';
import { MBR_TABLE_START, SECTOR_SIZE } from '../../formats/mbr.ts';
import type { DiskPartition, DiskPlan, PlannedLoader } from './disk-plan.ts';
import { blobFileName, fatFileName, partitionFileName } from './part-files.ts';

type Setting = string | readonly [key: string, value: string | number | boolean];

/**
 * The text of genimage.cfg.
 *
 * @param image file name of the disk image
 * @throws TreewrightError `config/genimage-name` for names that genimage hands to a shell unsafely
 */
export function renderGenimage(plan: DiskPlan, image: string): string {
  const fat = plan.partitions.find(({ content }) => content.kind === 'fat');
  return [
    '# Run with --inputpath set to the directory of the files that come with this configuration.',
    ...(fat === undefined ? [] : section(`image ${quoted('boot.vfat')}`, fatImage(fat))),
    ...section(`image ${quoted(image)}`, [
      ['size', plan.size],
      ...section('hdimage', [
        ['partition-table-type', plan.table],
        plan.table === 'gpt'
          ? ['disk-uuid', plan.diskUuid]
          : ['disk-signature', `0x${plan.signature.toString(16).padStart(8, '0')}`],
        ['align', SECTOR_SIZE],
        // Else an image with an MBR ends with the last file.
        ['fill', true],
      ]),
      ...plan.loaders.flatMap((loader, i) => loaderSection(loader, i)),
      ...plan.blobs.flatMap(({ name, offset }, i) =>
        section(`partition ${quoted(`blob-${i + 1}`)}`, [
          ['in-partition-table', false],
          ['image', blobFileName(i, name)],
          ['offset', offset],
        ]),
      ),
      ...plan.partitions.flatMap((partition) => partitionSection(partition, plan.table)),
    ]),
    '',
  ].join('\n');
}

function loaderSection({ path, offset, segments }: PlannedLoader, index: number): string[] {
  const hole = segments[0]?.to ?? 0;
  const holes =
    offset < MBR_TABLE_START && segments[1] !== undefined
      ? [`holes = { ${quoted(`(${hole}; ${segments[1].from})`)} }`]
      : [];
  return section(`partition ${quoted(`loader-${index + 1}`)}`, [
    ['in-partition-table', false],
    ['image', path],
    ['offset', offset],
    ...holes,
  ]);
}

function partitionSection(partition: DiskPartition, table: 'mbr' | 'gpt'): string[] {
  const { name, start, size, bootable, mbrType, gptType, partUuid, content } = partition;
  const file = content.kind === 'file' ? content.path : partitionFileName(partition);
  const type: Setting[] =
    table === 'mbr'
      ? [`partition-type = 0x${mbrType.toString(16)}`]
      : [
          ['partition-type-uuid', gptType],
          ['partition-uuid', partUuid],
        ];
  return section(`partition ${quoted(name)}`, [
    ...(file === undefined ? [] : [['image', file] as const]),
    ['offset', start],
    ['size', size],
    ...type,
    ...(bootable ? [['bootable', true] as const] : []),
  ]);
}

/** A FAT file system of the same kind, cluster size and id, made by mkdosfs and mcopy. */
function fatImage({ size, content }: DiskPartition): Setting[] {
  if (content.kind !== 'fat') return [];
  const { geometry, label, volumeId, hiddenSectors } = content.plan;
  const args = [
    `-F ${geometry.type}`,
    `-s ${geometry.sectorsPerCluster}`,
    `-i ${volumeId.toString(16).padStart(8, '0')}`,
    `-h ${hiddenSectors}`,
  ];
  return [
    ['size', size],
    ...section('vfat', [
      ['extraargs', args.join(' ')],
      ...(label === '' ? [] : [['label', label] as const]),
      ...content.sources.flatMap((source) => {
        const file = 'bytes' in source ? fatFileName(source.target) : source.path;
        for (const text of [source.target, file]) {
          if (/['\n]/.test(text)) {
            throw new TreewrightError(
              'config/genimage-name',
              `genimage hands ${JSON.stringify(text)} to a shell in single quotes, which it has itself; rename ${basename(text)}`,
            );
          }
        }
        return section(`file ${quoted(source.target)}`, [['image', file]]);
      }),
    ]),
  ];
}

function section(head: string, settings: readonly Setting[]): string[] {
  return [
    `${head} {`,
    ...settings.map((setting) => `  ${typeof setting === 'string' ? setting : assignment(setting)}`),
    '}',
  ];
}

function assignment([key, value]: readonly [string, string | number | boolean]): string {
  return `${key} = ${typeof value === 'string' ? quoted(value) : String(value)}`;
}

/** libconfuse takes escapes and `${VARIABLE}` in double quotes. */
function quoted(text: string): string {
  if (text.includes('\n')) {
    throw new TreewrightError('config/genimage-name', `${JSON.stringify(text)} cannot stand in genimage.cfg`);
  }
  return `"${text.replace(/[\\"$]/g, '\\$&')}"`;
}
