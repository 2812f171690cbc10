import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';

interface RollbackOptions extends CommonOptions {
  readonly config: string;
  readonly as?: string;
  readonly output?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .argument('<version>', 'the release whose tree comes back', nonEmpty)
      .option('-c, --config <file>', 'the configuration', nonEmpty, 'treewright.yaml')
      .option('--as <version>', "the new release's version (default: <version>-rollback.<n>)", nonEmpty)
      .option('-o, --output <dir>', "the release directory, instead of the configuration's", nonEmpty)
      .addHelpText(
        'after',
        `
Example:
  $ treewright rollback 1.3.0

Nothing is built: the tree is in the release directory already. The release is a new one with a newer
timestamp, because devices refuse to go back to an older commit.`,
      )
      .action((version: string, options: RollbackOptions) =>
        run(options, async ({ events, now, checkpoint }) => {
          const { loadConfig } = await import('../../config/load.ts');
          const config = await loadConfig(options.config, (diagnostic) =>
            events({ type: 'diagnostic', diagnostic }),
          );
          checkpoint();
          const { rollbackRelease } = await import('../../release/rollback.ts');
          const { releaseOutcome } = await import('../release-summary.ts');
          return releaseOutcome(
            await rollbackRelease({
              config,
              to: version,
              events,
              now,
              checkpoint,
              ...(options.as === undefined ? {} : { as: options.as }),
              ...(options.output === undefined ? {} : { output: options.output }),
            }),
          );
        }),
      );
  },
};
