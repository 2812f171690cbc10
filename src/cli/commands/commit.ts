import { Option } from 'commander';
import { formatBytes, plural, shortChecksum } from '../format.ts';
import { nonEmpty, wholeNumber } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';
import type { CommitReport } from '../../release/commit.ts';

interface CommitOptions extends CommonOptions {
  readonly repo: string;
  readonly branch: string;
  readonly source: string;
  readonly image?: string;
  readonly layout: 'ostree' | 'meta-updater' | 'none';
  readonly timestamp?: number;
  readonly subject?: string;
  readonly body?: string;
  readonly version?: string;
  readonly owner?: 'as-is' | 'root';
  readonly skipIfUnchanged?: boolean;
  readonly jobs?: number;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .requiredOption('--repo <dir>', 'the OSTree repository; made when it is not there', nonEmpty)
      .requiredOption('--branch <ref>', 'the branch that moves to the new commit', nonEmpty)
      .requiredOption('--source <path>', 'a build output, an archive or a directory', nonEmpty)
      .option('--image <name>', 'the image, where a Yocto deploy directory has several', nonEmpty)
      .addOption(
        new Option('--layout <layout>', 'how the tree is arranged; none commits it as it is')
          .choices(['ostree', 'meta-updater', 'none'])
          .default('ostree'),
      )
      .option(
        '--timestamp <seconds>',
        'time of the commit (default: SOURCE_DATE_EPOCH, or now)',
        wholeNumber(0),
      )
      .option('--subject <text>', 'one line about the commit')
      .option('--body <text>', 'more about the commit')
      .option('--version <version>', 'version in the metadata of the commit', nonEmpty)
      .addOption(
        new Option('--owner <policy>', 'who owns the files of a source directory').choices(['as-is', 'root']),
      )
      .option('--skip-if-unchanged', 'keep the branch as it is when the tree is that of its commit')
      .option('--jobs <n>', 'worker threads (default: one a core)', wholeNumber(1))
      .addHelpText(
        'after',
        `
Examples:
  $ treewright commit --repo repo --branch gateway/stable --source output/images/rootfs.tar
  $ treewright commit --repo repo --branch test --source ./tree --layout none --timestamp 0 --json`,
      )
      .action((options: CommitOptions) =>
        run(options, async ({ events, checkpoint }) => {
          const { commitSource } = await import('../../release/commit.ts');
          const { repo, branch, source, layout, timestamp, subject, body, version, owner, jobs } = options;
          const report = await commitSource({
            repo,
            branch,
            source,
            layout,
            events,
            checkpoint,
            ...(options.image === undefined ? {} : { image: options.image }),
            ...(timestamp === undefined ? {} : { timestamp }),
            ...(subject === undefined ? {} : { subject }),
            ...(body === undefined ? {} : { body }),
            ...(version === undefined ? {} : { version }),
            ...(owner === undefined ? {} : { owner }),
            ...(jobs === undefined ? {} : { jobs }),
            ...(options.skipIfUnchanged === undefined ? {} : { skipIfUnchanged: options.skipIfUnchanged }),
          });
          return { report, text: (paint) => commitText(report, repo, paint), brief: report.commit };
        }),
      );
  },
};

function commitText(report: CommitReport, repo: string, paint: Paint): string {
  const { commit, branch, parent, unchanged, objects, bytes } = report;
  const state =
    parent === commit
      ? 'is up to date'
      : unchanged
        ? 'has a new commit with the same tree'
        : 'has a new commit';
  return [
    `${paint.green(paint.bold(branch))} in ${repo} ${state}`,
    renderRows(
      [
        ['commit', commit],
        ['parent', parent === undefined || parent === commit ? undefined : shortChecksum(parent)],
        [
          'objects',
          `${plural(objects.total, 'object')} with ${formatBytes(bytes.content)} of content; ${plural(objects.written, 'new one')}, ${formatBytes(bytes.written)} stored`,
        ],
      ],
      paint,
    ),
  ].join('\n\n');
}
