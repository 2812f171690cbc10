/** The command line as a whole: which commands there are, what help says, how mistakes are answered. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { BUNDLED_FILES } from '../core/bundled-files.ts';
import { TreewrightError } from '../core/errors.ts';
import type { CommandModule, CommonOptions } from './run.ts';
import { addCommonOptions, runCommand, writeFailure } from './run.ts';
import type { Terminal } from './terminal.ts';

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: CommandModule }>;
}

/** Loaded only when called for: `treewright --help` answers without the rest of the program. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'init',
    summary: 'write a treewright.yaml that fits the build output, and make keys',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'inspect',
    summary: 'tell what a build output is and what a deployment of it would hit',
    load: () => import('./commands/inspect.ts'),
  },
  {
    name: 'release',
    summary: 'make a signed release from the build output',
    load: () => import('./commands/release.ts'),
  },
  {
    name: 'image',
    summary: 'make the image that a new device is written with',
    load: () => import('./commands/image.ts'),
  },
  {
    name: 'boot',
    summary: 'tell what U-Boot will do with a release',
    load: () => import('./commands/boot.ts'),
  },
  {
    name: 'rollback',
    summary: 'make a new release that brings back the tree of an earlier one',
    load: () => import('./commands/rollback.ts'),
  },
  {
    name: 'refresh',
    summary: 'sign the metadata of a release directory anew, before it expires',
    load: () => import('./commands/refresh.ts'),
  },
  {
    name: 'diff',
    summary: 'tell what grew and what shrank from one release to another, by package and file',
    load: () => import('./commands/diff.ts'),
  },
  {
    name: 'verify',
    summary: 'check a release directory or URL from the root of trust to the last object',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'commit',
    summary: 'commit a root filesystem to an OSTree repository',
    load: () => import('./commands/commit.ts'),
  },
  {
    name: 'delta',
    summary: 'make, explain, apply and verify static deltas',
    load: () => import('./commands/delta.ts'),
  },
  {
    name: 'schema',
    summary: 'print the JSON Schema of treewright.yaml, for editors',
    load: () => import('./commands/schema.ts'),
  },
];

const MAIN_HELP = `
Examples:
  $ treewright init                          in the folder of the product
  $ treewright release                       with the treewright.yaml found there
  $ treewright verify ./release

Results go to standard output, progress and messages to standard error.

Exit codes:
  0  done
  1  internal error: a bug in treewright
  2  the command line is wrong
  3  the configuration is wrong
  4  the input cannot be used: build output, repository, disk
  5  a signature, checksum or key is not right
  6  an external tool is missing or failed
  7  the network failed
  130, 143  interrupted by SIGINT or SIGTERM
`;

/** The version in package.json. */
export function packageVersion(): string {
  const text =
    BUNDLED_FILES?.get('package.json') ??
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Runs one command line, without the program's own name; resolves to the exit code. */
export async function runProgram(terminal: Terminal, argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = newProgram(terminal);
  const wanted = wantedCommand(argv);
  const known = wanted === undefined || wanted === 'help' || COMMANDS.some(({ name }) => name === wanted);
  for (const { name, summary, load } of COMMANDS) {
    const command = quietly(program.command(name).summary(summary).description(sentence(summary)), terminal);
    addCommonOptions(command);
    if (name !== wanted) continue;
    (await load()).command.configure(command, async (options, work) => {
      exitCode = await runCommand(terminal, options, work);
    });
  }
  try {
    // Asked for the help of what does not exist, commander would show the general help and call that success.
    await parse(program, known ? argv : [wanted]);
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return writeFailure(terminal, commonFrom(argv), error);
    // Help and version that were asked for end here too.
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return 2;
    return writeFailure(terminal, commonFrom(argv), usageError(error, argv));
  }
}

/** A mistyped `--repo` is told as that, and not as a missing one, which is what commander looks at first. */
async function parse(program: Command, argv: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError) || error.code !== 'commander.missingMandatoryOptionValue')
      throw error;
    const repeat = (command: Command): void => {
      for (const option of command.options) option.makeOptionMandatory(false);
      // What only holds other commands has no action of its own.
      if (command.commands.length === 0) {
        command.action(() => {
          throw error;
        });
      }
      command.commands.forEach(repeat);
    };
    program.commands.forEach(repeat);
    await program.parseAsync(argv, { from: 'user' });
  }
}

function newProgram(terminal: Terminal): Command {
  const program = quietly(new Command('treewright'), terminal)
    .description('Turns a finished Buildroot or Yocto build into a signed over-the-air release.')
    .usage('COMMAND [options]')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print the help of a command')
    .enablePositionalOptions()
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText('after', MAIN_HELP);
  return program;
}

/** Mistakes come back as errors, to be told in one form; help goes where it belongs. */
function quietly(command: Command, { stdout, stderr }: Terminal): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError(true)
    .helpOption('-h, --help', 'print help')
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(stdout.columns ?? 100, 100),
      getErrHelpWidth: () => Math.min(stderr.columns ?? 100, 100),
    });
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

/** The command that the arguments call for, also as `help COMMAND`. */
function wantedCommand(argv: readonly string[]): string | undefined {
  const words = argv.filter((argument) => !argument.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

/** The common options of arguments that could not be parsed. */
function commonFrom(argv: readonly string[]): CommonOptions {
  const end = argv.indexOf('--');
  const options = end < 0 ? argv : argv.slice(0, end);
  return { json: options.includes('--json'), verbose: options.includes('--verbose') };
}

/** `commander.unknownOption` becomes `usage/unknown-option`. */
function usageError(error: CommanderError, argv: readonly string[]): TreewrightError {
  const reason = error.code
    .replace(/^commander\./, '')
    .replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\n\(?Did you mean ([^)]*)\)?$/, (_, guess: string) => `; did you mean ${guess}`);
  const wanted = wantedCommand(argv);
  const known = COMMANDS.some(({ name }) => name === wanted) ? `${wanted ?? ''} ` : '';
  // What stands before the command belongs to the program itself, which has next to no options.
  const misplaced = known !== '' && argv[0]?.startsWith('-') === true;
  const hint = `${misplaced ? 'options come after the command; ' : ''}see \`treewright ${known}--help\``;
  return new TreewrightError(`usage/${reason}`, message, { data: { hint } });
}
