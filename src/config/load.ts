/** Reading treewright.yaml. */
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fromUtf8 } from '../core/bytes.ts';
import type { DiagnosticSink } from '../core/diagnostics.ts';
import { TreewrightError, isTreewrightError, systemErrorCode } from '../core/errors.ts';
import { checkDocument } from './check.ts';
import type { BoardConfig } from './board.ts';
import { loadBoard } from './board.ts';
import type { Fault, YamlDocument } from './document.ts';
import { readYaml } from './document.ts';
import { resolveConfig } from './resolve.ts';
import type { RawConfig } from './schema.ts';
import type { Setting } from './settings.ts';
import { parseSetting, settingAt, withSettings } from './settings.ts';
import type { Config } from './types.ts';

/** The file that commands look for when none is named. */
export const DEFAULT_CONFIG_FILE = 'treewright.yaml';

/** What messages name in the place of a file when there is none. */
const NO_FILE = '--set';

/** Far beyond any real configuration; keeps a wrong file name from filling the memory. */
const MAX_CONFIG_SIZE = 1024 * 1024;

/**
 * Reads and validates a configuration.
 *
 * @param file `false`: there is none, and everything is in `settings`, with paths relative to the current directory
 * @param onDiagnostic receives what is legal but unusual
 * @param settings `KEY=VALUE`, which go before what the file says
 * @throws TreewrightError config/not-found, config/unreadable, or config/invalid, whose message lists every
 *   fault and whose `data.faults` has them as `file:line:column: message`
 */
export async function loadConfig(
  file: string | false = DEFAULT_CONFIG_FILE,
  onDiagnostic: DiagnosticSink = () => undefined,
  settings: readonly string[] = [],
): Promise<Config> {
  const parsed = settings.map(parseSetting);
  if (file !== false) return parseConfig(await readText(file), file, onDiagnostic, parsed);
  return { ...(await parseConfig('', NO_FILE, onDiagnostic, parsed)), file: NO_FILE };
}

/** Validates the text of a configuration; `file` is where it stands, for its relative paths and for messages. */
export async function parseConfig(
  text: string,
  file: string,
  onDiagnostic: DiagnosticSink = () => undefined,
  settings: readonly Setting[] = [],
): Promise<Config> {
  const document = withSettings(readYaml(text), settings);
  if (document.value === undefined && document.faults.length === 0) {
    throw invalid(file, settings, [
      { line: 1, column: 1, path: '', message: 'the file is empty; `treewright init` writes one that fits' },
    ]);
  }
  // Half-read YAML would only add misleading faults to the real one.
  const checked =
    document.value === undefined ? { ok: false as const, faults: document.faults } : checkDocument(document);
  if (!checked.ok) throw invalid(file, settings, checked.faults);
  const board = await boardOf(checked.config, document, file, settings);
  const { config, faults } = resolveConfig(
    checked.config,
    document,
    resolve(file),
    file,
    board,
    onDiagnostic,
  );
  if (faults.length > 0) throw invalid(file, settings, faults);
  return config;
}

/** A board that does not exist is a fault of the line that names it. */
async function boardOf(
  { boot }: RawConfig,
  document: YamlDocument,
  file: string,
  settings: readonly Setting[],
): Promise<BoardConfig | undefined> {
  if (boot.board === undefined) return undefined;
  try {
    return await loadBoard(boot.board, dirname(resolve(file)));
  } catch (error) {
    if (!isTreewrightError(error) || error.code !== 'config/no-board') throw error;
    const path = ['boot', 'board'];
    throw invalid(file, settings, [
      { ...document.positionOf(path), path: 'boot.board', message: `boot.board: ${error.message}` },
    ]);
  }
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > MAX_CONFIG_SIZE) {
        throw new TreewrightError(
          'config/unreadable',
          `${file} is ${size} bytes long; a configuration has at most ${MAX_CONFIG_SIZE}. Is this the right file?`,
          { data: { file } },
        );
      }
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') {
      throw new TreewrightError('config/not-found', `there is no configuration file ${file}`, {
        cause: error,
        data: { file, hint: 'run `treewright init` to write one, or name another with --config FILE' },
      });
    }
    if (code === undefined || isTreewrightError(error)) throw error;
    throw new TreewrightError(
      'config/unreadable',
      `the configuration file ${file} cannot be read (${code})`,
      {
        cause: error,
        data: { file },
      },
    );
  }
  const text = fromUtf8(bytes);
  if (text === undefined) {
    throw new TreewrightError('config/unreadable', `${file} is not UTF-8 text; save it as UTF-8`, {
      data: { file },
    });
  }
  return text;
}

function invalid(file: string, settings: readonly Setting[], faults: readonly Fault[]): TreewrightError {
  const lines = faults.map(({ path, line, column, message }) => {
    const place = settingAt(settings, path) ?? (file === NO_FILE ? file : `${file}:${line}:${column}`);
    return `${place}: ${message}`;
  });
  const count = lines.length === 1 ? '1 fault' : `${lines.length} faults`;
  return new TreewrightError(
    'config/invalid',
    `${file} has ${count}:\n${lines.map((line) => `  ${line}`).join('\n')}`,
    {
      data: { file, faults: lines },
    },
  );
}
