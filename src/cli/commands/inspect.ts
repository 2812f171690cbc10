import { EXIT_CODES } from '../../core/errors.ts';
import { diagnosticLine } from '../diagnostic-line.ts';
import { formatBytes, formatCount, plural, printable, shellQuote } from '../format.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule } from '../run.ts';
import type { CommonOptions } from '../run.ts';
import { columns, nextStep, renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';
import type { InspectReport } from '../../release/inspect.ts';

/** More device trees than this are counted, not listed. */
const MAX_LISTED = 12;

interface InspectOptions extends CommonOptions {
  readonly image?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .argument('<path>', 'a Buildroot output, a Yocto deploy directory, an archive or a directory', nonEmpty)
      .option('--image <name>', 'the image, where a Yocto deploy directory has several', nonEmpty)
      .addHelpText(
        'after',
        `
Examples:
  $ treewright inspect ./output
  $ treewright inspect tmp/deploy/images/verdin-imx8mm --json

Exit code 4 when a deployment of this tree would fail; warnings alone give 0, or 4 with --strict.`,
      )
      .action((path: string, options: InspectOptions) =>
        run(options, async ({ events, remember }) => {
          const { inspectSource } = await import('../../release/inspect.ts');
          const report = await inspectSource({
            path,
            ...(options.image === undefined ? {} : { image: options.image }),
            // The problems are the answer: they are shown with it, not twice.
            events: (event) => {
              if (event.type !== 'diagnostic') events(event);
            },
          });
          // With --quiet they are all there is to say.
          const alone = options.quiet === true && options.json !== true;
          for (const problem of report.problems) {
            if (alone) events({ type: 'diagnostic', diagnostic: problem });
            else remember(problem);
          }
          const broken = report.problems.some(({ severity }) => severity === 'error');
          return {
            report,
            text: (paint) => inspectText(path, report, paint),
            brief: report.kind,
            exitCode: broken ? EXIT_CODES.input : 0,
          };
        }),
      );
  },
};

function inspectText(path: string, report: InspectReport, paint: Paint): string {
  const { kind, machine, arch, kernel, init, osRelease, deviceTrees, initramfs, files, bytes } = report;
  const trees = deviceTrees.slice(0, MAX_LISTED).map(({ name, size }) => [name, formatBytes(size)]);
  const more = deviceTrees.length - trees.length;
  const os = osRelease['PRETTY_NAME'] ?? osRelease['NAME'] ?? osRelease['ID'];
  const maker = report.tool === undefined ? '' : `, made by ${printable(report.tool)}`;
  const heading = `${paint.bold(printable(path))}: ${NAMES[kind]}${maker}`;
  const problems = report.problems.map((problem) => diagnosticLine(problem, paint));
  const broken = report.problems.some(({ severity }) => severity === 'error');
  return [
    heading,
    renderRows(
      [
        ['machine', machine],
        ['arch', arch],
        ['system', os],
        ['version', report.version],
        ['init', init],
        ['libostree', report.libostree],
        ['containers', report.containerRuntimes.join(', ') || undefined],
        [
          'kernel',
          kernel === undefined
            ? 'none'
            : `${kernel.release}, ${kernel.imageName}, ${formatBytes(kernel.size)}`,
        ],
        ['initramfs', initramfs === undefined ? 'none' : formatBytes(initramfs.size)],
        ['device trees', [...columns(trees, [1]), ...(more > 0 ? [`and ${formatCount(more)} more`] : [])]],
        ['content', `${plural(files, 'file')}, ${formatBytes(bytes)}`],
        ['packages', report.packages === 0 ? undefined : formatCount(report.packages)],
      ],
      paint,
    ),
    ...(problems.length > 0 ? [problems.join('\n')] : []),
    broken
      ? paint.red('A deployment of this tree would fail.')
      : nextStep(`treewright init --source ${shellQuote(path)}`, 'writes a configuration for it', paint),
  ].join('\n\n');
}

const NAMES: Readonly<Record<InspectReport['kind'], string>> = {
  buildroot: 'a Buildroot build',
  yocto: 'a Yocto build',
  archive: 'a root filesystem in an archive',
  directory: 'a root filesystem in a directory',
};
