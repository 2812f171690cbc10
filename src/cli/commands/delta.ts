import type { Command } from 'commander';
import { Option } from 'commander';
import {
  deltaAppliedText,
  deltaEstimateText,
  deltaMadeText,
  deltaShownText,
  deltaVerifiedText,
} from '../delta-text.ts';
import { TreewrightError } from '../../core/errors.ts';
import { nearestName } from '../../config/suggest.ts';
import { nonEmpty, wholeNumber } from '../options.ts';
import type { CommandModule, CommonOptions, Runner } from '../run.ts';
import { addCommonOptions } from '../run.ts';
import { megabytes } from '../size-option.ts';

interface GenerateOptions extends CommonOptions {
  readonly repo?: string;
  readonly to?: string;
  readonly config: string;
  readonly from?: string;
  readonly dryRun?: boolean;
  readonly minFallbackSize?: number;
  readonly maxBsdiffSize?: number;
  readonly disableBsdiff?: boolean;
  readonly maxChunkSize?: number;
  readonly inline?: boolean;
  readonly endianness?: 'l' | 'B';
  readonly output?: string;
  readonly sign?: string;
  readonly keys?: string;
  readonly jobs?: number;
}

interface ChoiceOptions extends CommonOptions {
  readonly from?: string;
  readonly to?: string;
}

interface ShowOptions extends ChoiceOptions {
  readonly repo?: string;
  readonly all?: boolean;
  readonly part?: number;
}

interface VerifyOptions extends ChoiceOptions {
  readonly repo: string;
  readonly publicKey?: string;
}

interface ApplyOptions extends ChoiceOptions {
  readonly repo: string;
  readonly source?: string;
  readonly publicKey?: string;
  readonly ref?: string;
  readonly keys?: string;
  readonly jobs?: number;
}

const EXAMPLES = `
Examples:
  $ treewright delta --repo repo --from gateway/stable^ --to gateway/stable
  $ treewright delta --repo repo --from gateway/stable^ --to gateway/stable --dry-run
  $ treewright delta --repo repo --to gateway/stable --inline --output update.delta
  $ treewright delta show --repo repo --from gateway/stable^ --to gateway/stable
  $ treewright delta apply update.delta --repo mirror --ref gateway/stable
  $ treewright delta verify --repo https://updates.example.com/ostree --to gateway/stable`;

export const command: CommandModule = {
  configure: (command, run) => {
    command.addHelpText(
      'after',
      `
Without a command of its own, \`treewright delta\` generates. See \`treewright delta generate --help\` for its options.
${EXAMPLES}`,
    );
    // Since `generate` may be left out, a mistyped command would be taken for an argument of it.
    command.hook('preSubcommand', ({ args: [word = '-'], commands }) => {
      const names = commands.map((known) => known.name());
      if (word.startsWith('-') || names.includes(word)) return;
      const guess = nearestName(word, names);
      command.error(`unknown command '${word}'${guess === undefined ? '' : `; did you mean ${guess}?`}`, {
        code: 'commander.unknownCommand',
      });
    });
    // Options before the name of a command count as well, since generate may be left out.
    const merged: Runner = (options, work) => run({ ...command.opts<CommonOptions>(), ...options }, work);
    generate(command, merged);
    show(command, merged);
    apply(command, merged);
    verify(command, merged);
  },
};

function generate(parent: Command, run: Runner): void {
  const command = parent
    .command('generate', { isDefault: true })
    .summary('make a static delta')
    .description('Makes a static delta in an archive repository, or in a file, and tells what it saves.')
    .option('--repo <dir>', 'the archive repository that has both commits', nonEmpty)
    .option('--to <commit>', 'the commit it leads to: a branch or a checksum', nonEmpty)
    .option('--from <commit>', 'the commit a device has; without it the delta is from nothing', nonEmpty)
    .option(
      '--dry-run',
      'tell what it would be worth, by file, with the default sizes; make nothing. Without --repo: the plan of the newest release',
    )
    .option('-c, --config <file>', 'the configuration of that plan', nonEmpty, 'treewright.yaml')
    .option(
      '--min-fallback-size <size>',
      'leave new files larger than this to an ordinary fetch (default: none)',
      megabytes(0),
    )
    .option(
      '--max-bsdiff-size <size>',
      'largest object that is patched, which a device does in memory (default: 128MB)',
      megabytes(0),
    )
    .option('--disable-bsdiff', 'patch nothing; old content is still copied')
    .option(
      '--max-chunk-size <size>',
      'largest payload of a part before compression (default: 16MiB)',
      megabytes(1),
    )
    .option('--inline', 'keep the parts inside the superblock: one file')
    .addOption(new Option('--endianness <order>', 'byte order of the sizes').choices(['l', 'B']).default('l'))
    .option(
      '--output <path>',
      'write the delta here and leave the repository alone: a file with --inline, else a directory',
      nonEmpty,
    )
    .option('--sign <file>', 'sign the superblock with this ed25519 key; needs --output', nonEmpty)
    .option('--keys <dir>', 'the keys of the summary, where it is signed (ostree.key)', nonEmpty)
    .option('--jobs <n>', 'worker threads (default: one a core)', wholeNumber(1))
    .addHelpText(
      'after',
      `
Sizes are such as 20MB, 16MiB; a plain number counts megabytes of 1,000,000 bytes, as for ostree.

Examples:
  $ treewright delta generate --repo repo --from gateway/stable^ --to gateway/stable
  $ treewright delta --dry-run --config treewright.yaml
  $ treewright delta generate --repo repo --to gateway/stable --inline --sign keys/ostree.key --output update.delta`,
    );
  addCommonOptions(command).action((options: GenerateOptions) =>
    run(options, async ({ events, env, now, checkpoint }) => {
      const started = performance.now();
      const elapsed = (): number => Math.round(performance.now() - started);
      if (options.dryRun === true && options.repo === undefined) {
        const { loadConfig } = await import('../../config/load.ts');
        const { planReleaseDeltas } = await import('../../release/plan-deltas.ts');
        const { deltaPlanOutcome } = await import('../delta-plan.ts');
        const config = await loadConfig(options.config, (diagnostic) =>
          events({ type: 'diagnostic', diagnostic }),
        );
        return deltaPlanOutcome(await planReleaseDeltas({ config, events }));
      }
      const repo = required(options.repo, '--repo <dir>');
      const to = required(options.to, '--to <commit>');
      if (options.dryRun === true) {
        const { estimateOneDelta } = await import('../../release/delta-estimate.ts');
        const report = await estimateOneDelta({ repo, to, ...given(options, ['from', 'jobs']), events });
        const milliseconds = elapsed();
        return {
          report: { ...report, milliseconds },
          text: (paint) => deltaEstimateText(report, milliseconds, paint),
          brief: String(report.expectedBytes),
        };
      }
      const { makeDelta } = await import('../../release/delta-make.ts');
      const { commitTimestamp } = await import('../../release/timestamp.ts');
      const { maxChunkSize, endianness, inline, sign, disableBsdiff } = options;
      const maxPatchSize = disableBsdiff === true ? 0 : options.maxBsdiffSize;
      const report = await makeDelta({
        repo,
        to,
        ...given(options, ['from', 'minFallbackSize', 'output', 'keys', 'jobs']),
        ...(maxPatchSize === undefined ? {} : { maxPatchSize }),
        ...(maxChunkSize === undefined ? {} : { maxPartSize: maxChunkSize }),
        ...(inline === undefined ? {} : { inlineParts: inline }),
        ...(sign === undefined ? {} : { signKey: sign }),
        byteOrder: endianness === 'B' ? 'big' : 'little',
        lastModified: commitTimestamp(undefined, env, now),
        events,
        checkpoint,
      });
      const milliseconds = elapsed();
      return {
        report: { ...report, milliseconds },
        text: (paint) => deltaMadeText(report, milliseconds, paint),
        brief: report.path,
      };
    }),
  );
}

/** Only the plan of a release does without these options. */
function required(value: string | undefined, flags: string): string {
  if (value !== undefined) return value;
  throw new TreewrightError(
    'usage/missing-mandatory-option-value',
    `required option '${flags}' not specified`,
    {
      data: {
        hint: 'only `delta --dry-run` does without it: it plans for the newest release of treewright.yaml',
      },
    },
  );
}

/** The options of these names that were given, for a callee that tells absent from undefined. */
function given<T extends object, K extends keyof T>(
  options: T,
  names: readonly K[],
): { [P in K]?: Exclude<T[P], undefined> } {
  const entries = names.flatMap((name) =>
    options[name] === undefined ? [] : [[name, options[name]] as const],
  );
  return Object.fromEntries(entries) as { [P in K]?: Exclude<T[P], undefined> };
}

/** A delta by itself, or two commits. */
function choosing(command: Command): Command {
  return command
    .argument('[delta]', 'a delta by itself: its directory, or the file of its superblock', nonEmpty)
    .option('--to <commit>', 'the commit that a delta of the repository leads to', nonEmpty)
    .option('--from <commit>', 'the commit that it starts from; without it, nothing', nonEmpty);
}

function show(parent: Command, run: Runner): void {
  const command = choosing(
    parent
      .command('show')
      .summary('tell what a delta is and does')
      .description('Tells what a static delta is and does: superblock, parts, objects.'),
  )
    .option('--repo <dir>', 'the repository of the delta, or one that knows the paths; or its URL', nonEmpty)
    .option('--part <n>', 'list the objects of this part', wholeNumber(0))
    .option('--all', 'list every part and object')
    .addHelpText(
      'after',
      `
Examples:
  $ treewright delta show --repo repo --from gateway/stable^ --to gateway/stable
  $ treewright delta show update.delta --repo repo --all`,
    );
  addCommonOptions(command).action((delta: string | undefined, options: ShowOptions) =>
    run(options, async ({ events }) => {
      const { showDelta } = await import('../../release/delta-show.ts');
      const report = await showDelta({
        ...(delta === undefined ? {} : { delta }),
        ...given(options, ['from', 'to', 'repo']),
        events,
      });
      return {
        report,
        text: (paint) => deltaShownText(report, given(options, ['all', 'part']), paint),
        brief: report.name,
      };
    }),
  );
}

function verify(parent: Command, run: Runner): void {
  const command = choosing(
    parent
      .command('verify')
      .summary('check a delta from its signature to the last object it makes')
      .description('Checks a static delta from its signature to the last object it makes; writes nothing.'),
  )
    .requiredOption('--repo <location>', 'the repository that has both commits, or its URL', nonEmpty)
    .option('--public-key <file>', 'the key that must have signed the superblock or the commit', nonEmpty)
    .addHelpText(
      'after',
      `
Examples:
  $ treewright delta verify --repo repo --from gateway/stable^ --to gateway/stable
  $ treewright delta verify update.delta --repo repo --public-key keys/trusted.ed25519`,
    );
  addCommonOptions(command).action((delta: string | undefined, options: VerifyOptions) =>
    run(options, async ({ events }) => {
      const { verifyOneDelta } = await import('../../release/delta-verify.ts');
      const report = await verifyOneDelta({
        repo: options.repo,
        ...(delta === undefined ? {} : { delta }),
        ...given(options, ['from', 'to', 'publicKey']),
        events,
      });
      return { report, text: (paint) => deltaVerifiedText(report, paint), brief: report.name };
    }),
  );
}

function apply(parent: Command, run: Runner): void {
  const command = choosing(
    parent
      .command('apply')
      .summary('bring a commit into a repository by way of a delta')
      .description('Brings a commit into an archive repository by way of a static delta.'),
  )
    .requiredOption('--repo <dir>', 'the archive repository that gets the commit', nonEmpty)
    .option('--source <location>', 'take the delta from this repository or URL (default: --repo)', nonEmpty)
    .option('--public-key <file>', 'the key that must have signed the superblock or the commit', nonEmpty)
    .option('--ref <branch>', 'move this branch to the commit, and write the summary', nonEmpty)
    .option('--keys <dir>', 'the keys of the summary, where it is signed (ostree.key)', nonEmpty)
    .option('--jobs <n>', 'worker threads (default: one a core)', wholeNumber(1))
    .addHelpText(
      'after',
      `
Examples:
  $ treewright delta apply update.delta --repo mirror --ref gateway/stable --public-key trusted.ed25519
  $ treewright delta apply --repo mirror --source https://updates.example.com/ostree --to gateway/stable

Objects become visible when all of them are right, the commit last.`,
    );
  addCommonOptions(command).action((delta: string | undefined, options: ApplyOptions) =>
    run(options, async ({ events, env, now, checkpoint }) => {
      const { applyOneDelta } = await import('../../release/delta-apply.ts');
      const { commitTimestamp } = await import('../../release/timestamp.ts');
      const report = await applyOneDelta({
        repo: options.repo,
        ...(delta === undefined ? {} : { delta }),
        ...given(options, ['from', 'to', 'source', 'publicKey', 'ref', 'keys', 'jobs']),
        lastModified: commitTimestamp(undefined, env, now),
        events,
        checkpoint,
      });
      return { report, text: (paint) => deltaAppliedText(report, paint), brief: report.to };
    }),
  );
}
