import { TreewrightError } from '../../core/errors.ts';
import type { SizeDifference } from '../../release/size-difference.ts';
import type { ConfigOptions } from '../config-options.ts';
import { addConfigOptions, loadCommandConfig } from '../config-options.ts';
import { plural, printable } from '../format.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { fileLines, packageLines, totalLine } from '../size-difference.ts';
import { renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';

interface DiffOptions extends CommonOptions, ConfigOptions {
  readonly release?: string;
  readonly package?: string;
  readonly all?: boolean;
}

/** Packages and files that are shown without `--all`. */
const SHOWN = 20;

export const command: CommandModule = {
  configure: (command, run) => {
    addConfigOptions(command)
      .argument('[old]', 'the version to compare with; default: the one before', nonEmpty)
      .argument('[new]', 'the version to look at; default: the newest', nonEmpty)
      .option('--release <dir|url>', "the release directory, instead of the configuration's", nonEmpty)
      .option('--package <name>', 'show only this package, and all its files', nonEmpty)
      .option('--all', `show every package and file, not only the ${SHOWN} with the largest differences`)
      .addHelpText(
        'after',
        `
Examples:
  $ treewright diff
  $ treewright diff 1.0
  $ treewright diff 1.0 1.2 --all
  $ treewright diff 1.0 1.2 --package busybox
  $ treewright diff --release https://updates.example.com/gateway --json

Sizes are those of installed files, hard links counted once; what an update downloads is in update-cost.json.
Files that no package has, such as the kernel, are shown as (no package).`,
      )
      .action((from: string | undefined, to: string | undefined, options: DiffOptions) =>
        run(options, async ({ events, now, checkpoint }) => {
          const config = await loadCommandConfig(options, events);
          checkpoint();
          const { diffReleases } = await import('../../release/diff.ts');
          const whole = await diffReleases({
            config,
            events,
            now,
            ...(options.release === undefined ? {} : { release: options.release }),
            ...(from === undefined ? {} : { from }),
            ...(to === undefined ? {} : { to }),
          });
          const report = options.package === undefined ? whole : only(whole, options.package);
          const limit = options.all === true || options.package !== undefined ? Infinity : SHOWN;
          return { report, text: (paint) => diffText(report, limit, paint) };
        }),
      );
  },
};

function only(whole: SizeDifference, name: string): SizeDifference {
  const packages = whole.packages.filter((each) => each.name === name);
  if (packages.length > 0) return { ...whole, packages };
  throw new TreewrightError(
    'usage/no-such-package',
    `no package ${name} changed from ${whole.from} to ${whole.to}; it may be the same in both, or in neither`,
    { data: { name } },
  );
}

function diffText(report: SizeDifference, limit: number, paint: Paint): string {
  const { from, to, packages, unchanged } = report;
  const title = `${paint.bold(printable(`${from} to ${to}`))}: ${printable(totalLine(report))}`;
  if (packages.length === 0) return `${title}\n\nNo package and no file changed its size.`;
  const rows = renderRows(
    [
      ['packages', packageLines(report, limit)],
      ['files', fileLines(report, limit)],
      ['unchanged', plural(unchanged, 'package')],
    ],
    paint,
  );
  return `${title}\n\n${rows}`;
}
