import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';

interface SchemaOptions extends CommonOptions {
  readonly output?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .option('-o, --output <file>', 'write it there instead of printing it', nonEmpty)
      .addHelpText(
        'after',
        `
Example:
  $ treewright schema --output treewright.schema.json

An editor with a YAML language server completes and checks treewright.yaml when its first line is
  # yaml-language-server: $schema=./treewright.schema.json`,
      )
      .action((options: SchemaOptions) =>
        run(options, async () => {
          const { configJsonSchema, configJsonSchemaText, writeConfigJsonSchema } =
            await import('../../config/json-schema.ts');
          const { output } = options;
          if (output === undefined) {
            const text = configJsonSchemaText().trimEnd();
            return { report: configJsonSchema(), text: () => text, brief: text };
          }
          await writeConfigJsonSchema(output);
          return { report: { output }, text: () => `written: ${output}` };
        }),
      );
  },
};
