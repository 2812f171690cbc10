/** The configuration of commands that need one: a file, and settings that go before it. */
import type { Command } from 'commander';
import type { Config } from '../config/types.ts';
import type { EventSink } from '../core/events.ts';
import { nonEmpty } from './options.ts';

export interface ConfigOptions {
  /** False with `--no-config`. */
  readonly config: string | false;
  readonly set: readonly string[];
}

export function addConfigOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration', nonEmpty, 'treewright.yaml')
    .option('--no-config', 'there is no such file: everything is given with --set')
    .option(
      '--set <key=value>',
      "a value instead of the configuration's, such as ostree.branch=gateway/beta; may be repeated",
      (text: string, before: string[]) => [...before, nonEmpty(text)],
      [],
    );
}

export async function loadCommandConfig({ config, set }: ConfigOptions, events: EventSink): Promise<Config> {
  const { loadConfig } = await import('../config/load.ts');
  return loadConfig(config, (diagnostic) => events({ type: 'diagnostic', diagnostic }), set);
}
