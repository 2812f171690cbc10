/**
 * A kickstart file for wic that puts the same disk together from ready-made files.
 * Source: openembedded-core before wic's move to a repository of its own: scripts/lib/wic/ksparser.py,
 * plugins/source/rawcopy.py, plugins/imager/direct.py; only options that Yocto 4.0 has as well are used.
 */
import { TreewrightError } from '../../core/errors.ts';
import { SECTOR_SIZE } from '../../formats/mbr.ts';
import type { DiskPartition, DiskPlan } from './disk-plan.ts';
import { blobFileName, partitionFileName } from './part-files.ts';

/** wic's `--fixed-size` and rawcopy count in kibibytes. */
const KIBIBYTE = 1024;

interface Line {
  readonly start: number;
  readonly text: string;
}

/**
 * The text of a .wks file. Files of partitions and blobs are looked up in DEPLOY_DIR_IMAGE, boot loaders by their
 * absolute path.
 *
 * @throws TreewrightError `config/wks` for what wic cannot do: a boot loader in the first sector, sizes of half
 *   kibibytes, a comma in a file name
 */
export function renderWks(plan: DiskPlan, description: string): string {
  const lines: Line[] = [
    ...plan.loaders.map(({ path, offset }) => rawLine(path, offset)),
    ...plan.blobs.map(({ name, offset }, i) => rawLine(blobFileName(i, name), offset)),
    ...plan.partitions.map((partition) => partitionLine(partition, plan.table)),
  ];
  const gpt = plan.table === 'gpt';
  const id = gpt ? plan.diskUuid : `0x${plan.signature.toString(16).padStart(8, '0')}`;
  return [
    `# short-description: ${description.replace(/\s+/g, ' ')}`,
    '# The files that are named without a directory come with this one: put them into DEPLOY_DIR_IMAGE.',
    // wic goes through the disk from its start to its end and refuses to go back.
    ...lines.sort((a, b) => a.start - b.start).map(({ text }) => text),
    `# A wic that knows the option takes "--diskid ${id}" as well, and then the disk has its id.`,
    `bootloader --ptable ${gpt ? 'gpt' : 'msdos'}`,
    '',
  ].join('\n');
}

function rawLine(file: string, offset: number): Line {
  if (offset < SECTOR_SIZE) {
    throw refuse(
      `${file} begins in the first sector, which wic keeps to itself; write it into the finished image`,
    );
  }
  return {
    start: offset,
    text: words(['part', '--source rawcopy', source(file), place(offset), '--no-table']),
  };
}

function partitionLine(partition: DiskPartition, table: 'mbr' | 'gpt'): Line {
  const { name, role, start, size, bootable, mbrType, gptType, partUuid, content } = partition;
  if (size % KIBIBYTE !== 0) throw refuse(`partition "${name}" has ${size} bytes, wic wants whole kibibytes`);
  const file = content.kind === 'file' ? content.path : partitionFileName(partition);
  const text = words([
    'part',
    ...(file === undefined ? [] : ['--source rawcopy', source(file)]),
    // Without a label nothing changes the file system; the type of a partition is set below.
    `--fstype ${role === 'fat' ? 'vfat' : 'ext4'}`,
    place(start),
    `--fixed-size ${size / KIBIBYTE}k`,
    ...(bootable ? ['--active'] : []),
    ...(table === 'mbr'
      ? [`--system-id 0x${mbrType.toString(16)}`]
      : [`--part-name ${word(name)}`, `--part-type ${gptType}`, `--uuid ${partUuid}`]),
  ]);
  return { start, text };
}

function place(offset: number): string {
  if (offset % SECTOR_SIZE !== 0)
    throw refuse(`wic places things at whole sectors, found the offset ${offset}`);
  return offset % KIBIBYTE === 0 ? `--offset ${offset / KIBIBYTE}` : `--offset ${offset / SECTOR_SIZE}s`;
}

function source(file: string): string {
  // wic splits at commas, and its copy of the file goes through a shell.
  if (/[,\s'"$`\\]/.test(file)) {
    throw refuse(`wic cannot take the file name ${JSON.stringify(file)}; rename it`);
  }
  return `--sourceparams="file=${file}"`;
}

function word(text: string): string {
  if (!/^[\w.-]+$/.test(text)) throw refuse(`wic cannot take the partition name ${JSON.stringify(text)}`);
  return text;
}

function words(parts: readonly string[]): string {
  return parts.join(' ');
}

function refuse(problem: string): TreewrightError {
  return new TreewrightError('config/wks', problem);
}
