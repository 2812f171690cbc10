import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';

interface ReleaseOptions extends CommonOptions {
  readonly config: string;
  readonly version?: string;
  readonly output?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .option('-c, --config <file>', 'the configuration', nonEmpty, 'treewright.yaml')
      .option('--version <version>', "the release's version, instead of the configuration's", nonEmpty)
      .option('-o, --output <dir>', "the release directory, instead of the configuration's", nonEmpty)
      .addHelpText(
        'after',
        `
Examples:
  $ treewright release
  $ treewright release --config board.yaml --version 1.4.0 --json
  $ SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) treewright release --strict

The same version again with the same content publishes nothing new and renews the signed metadata.
A run that was killed leaves the previous release whole; run the command again to finish.`,
      )
      .action((options: ReleaseOptions) =>
        run(options, async ({ events, now, checkpoint }) => {
          const { loadConfig } = await import('../../config/load.ts');
          const config = await loadConfig(options.config, (diagnostic) =>
            events({ type: 'diagnostic', diagnostic }),
          );
          checkpoint();
          const { assembleRelease } = await import('../../release/assemble.ts');
          const { releaseOutcome } = await import('../release-summary.ts');
          return releaseOutcome(
            await assembleRelease({
              config,
              events,
              now,
              checkpoint,
              ...(options.version === undefined ? {} : { version: options.version }),
              ...(options.output === undefined ? {} : { output: options.output }),
            }),
          );
        }),
      );
  },
};
