import { Option } from 'commander';
import type { ImageFormat, ImageReport } from '../../release/image.ts';
import { formatBytes } from '../format.ts';
import type { ConfigOptions } from '../config-options.ts';
import { addConfigOptions, loadCommandConfig } from '../config-options.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { columns, renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';

interface ImageOptions extends CommonOptions, ConfigOptions {
  readonly release?: string;
  readonly version?: string;
  readonly format: ImageFormat;
  readonly output: string;
}

/** Those of release/image.ts, which is loaded only when it is needed. */
const FORMATS: readonly ImageFormat[] = ['tar', 'ext4', 'disk', 'genimage', 'wic'];

export const command: CommandModule = {
  configure: (command, run) => {
    addConfigOptions(command)
      .option('--release <dir>', "the release directory, instead of the configuration's", nonEmpty)
      .option('--version <version>', 'the release, instead of the newest one', nonEmpty)
      .addOption(new Option('--format <format>', 'what to write').choices(FORMATS).makeOptionMandatory())
      .requiredOption('-o, --output <path>', 'the file to write; a directory for genimage and wic', nonEmpty)
      .addHelpText(
        'after',
        `
Formats:
  tar       the physical root, to be unpacked by root on a disk
  ext4      the physical root as a file system, and its block map
  disk      partition table, boot loaders, environment and file systems of boot.board, and its block map
  genimage  the parts of the disk, and a genimage.cfg that puts them together
  wic       the parts of the disk, and a .wks that puts them together

Examples:
  $ treewright image --format disk --output gateway.img
  $ bmaptool copy gateway.img /dev/sdX
  $ treewright image --format ext4 --release ./release --version 1.4.0 -o rootfs.ext4`,
      )
      .action((options: ImageOptions) =>
        run(options, async ({ events, now, checkpoint }) => {
          const config = await loadCommandConfig(options, events);
          checkpoint();
          const { makeImage } = await import('../../release/image.ts');
          const report = await makeImage({
            config,
            events,
            now,
            format: options.format,
            output: options.output,
            ...(options.release === undefined ? {} : { release: options.release }),
            ...(options.version === undefined ? {} : { version: options.version }),
          });
          return { report, text: (paint) => imageText(report, paint), brief: report.output };
        }),
      );
  },
};

function imageText(report: ImageReport, paint: Paint): string {
  const { version, commit, files, size, free, partitions = [] } = report;
  const table = partitions.map(({ number, name, start, size: bytes }) => [
    String(number),
    name,
    formatBytes(start),
    formatBytes(bytes),
  ]);
  return [
    `${paint.bold(report.output)}: release ${version} as ${report.format}`,
    renderRows(
      [
        ['commit', commit],
        ['size', size === undefined ? undefined : formatBytes(size)],
        ['free', free === undefined ? undefined : `${formatBytes(free)} in the root filesystem`],
        ['partitions', table.length === 0 ? undefined : columns(table, [2, 3])],
        ['files', files],
      ],
      paint,
    ),
  ].join('\n\n');
}
