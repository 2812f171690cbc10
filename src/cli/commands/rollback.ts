import type { ConfigOptions } from '../config-options.ts';
import { addConfigOptions, loadCommandConfig } from '../config-options.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';

interface RollbackOptions extends CommonOptions, ConfigOptions {
  readonly as?: string;
  readonly output?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    addConfigOptions(command)
      .argument('<version>', 'the release whose tree comes back', nonEmpty)
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
          const config = await loadCommandConfig(options, events);
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
