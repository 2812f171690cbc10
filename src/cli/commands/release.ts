import type { ConfigOptions } from '../config-options.ts';
import { addConfigOptions, loadCommandConfig } from '../config-options.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';

interface ReleaseOptions extends CommonOptions, ConfigOptions {
  readonly version?: string;
  readonly next?: boolean;
  readonly output?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    addConfigOptions(command)
      .option('--version <version>', "the release's version, instead of the configuration's", nonEmpty)
      .option(
        '--next',
        'when this version is published with another tree, make VERSION-build.2, -build.3 and so on',
      )
      .option('-o, --output <dir>', "the release directory, instead of the configuration's", nonEmpty)
      .addHelpText(
        'after',
        `
Examples:
  $ treewright release
  $ treewright release --config board.yaml --version 1.4.0 --json
  $ treewright release --set signing.keys=/safe/keys --set deltas.from.last=1
  $ treewright release --no-config --set product=gateway --set machine=board --set source.buildroot=output
  $ SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) treewright release --strict

The same version again with the same content publishes nothing new and renews the signed metadata.
A run that was killed leaves the previous release whole; run the command again to finish.`,
      )
      .action((options: ReleaseOptions) =>
        run(options, async ({ events, now, checkpoint }) => {
          const config = await loadCommandConfig(options, events);
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
              ...(options.next === undefined ? {} : { next: options.next }),
              ...(options.output === undefined ? {} : { output: options.output }),
            }),
          );
        }),
      );
  },
};
