/** Values of the command line, `KEY=VALUE`, over those of the file. */
import { TreewrightError } from '../core/errors.ts';
import type { ValuePath, YamlDocument } from './document.ts';
import { formatPath, readYaml } from './document.ts';
import { schemasAt } from './json-schema.ts';

export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  /** The value as it was given. */
  readonly source: string;
}

const KEY = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;

/**
 * `ostree.branch=gateway/stable` or `boot.kargs=[quiet, console=ttyS0]`. A key whose value is text takes it as it is,
 * so that `version=1.10` stays what it is; anything else is YAML.
 *
 * @throws TreewrightError usage/bad-setting
 */
export function parseSetting(text: string): Setting {
  const equals = text.indexOf('=');
  const key = text.slice(0, Math.max(equals, 0));
  if (!KEY.test(key)) {
    throw badSetting(text, 'expected KEY=VALUE, such as ostree.branch=gateway/stable');
  }
  const path = key.split('.');
  const source = text.slice(equals + 1);
  if (source === '') throw badSetting(text, 'it has no value');
  const schemas = schemasAt(path);
  if (schemas.length > 0 && schemas.every(({ type }) => type === 'string')) {
    return { path, value: source, source };
  }
  const { value, faults } = readYaml(source);
  const [fault] = faults;
  if (fault !== undefined) throw badSetting(text, fault.message);
  return { path, value, source };
}

function badSetting(text: string, problem: string): TreewrightError {
  return new TreewrightError('usage/bad-setting', `--set ${JSON.stringify(text)}: ${problem}`, {
    data: { setting: text },
  });
}

/** The document with the settings put in, the last one of a key winning. */
export function withSettings(document: YamlDocument, settings: readonly Setting[]): YamlDocument {
  if (settings.length === 0) return document;
  let value = document.value;
  for (const setting of settings) value = put(value, setting.path, setting.value);
  const settingOf = (path: ValuePath): Setting | undefined =>
    settings.findLast((setting) => formatPath(setting.path) === formatPath(path));
  return {
    ...document,
    value,
    isEmptyKey: (path) => settingOf(path) === undefined && document.isEmptyKey(path),
    sourceOf: (path) => settingOf(path)?.source ?? document.sourceOf(path),
  };
}

function put(value: unknown, path: readonly string[], leaf: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return leaf;
  // A map without a prototype, as the file's own are.
  const copy = Object.create(null) as Record<string, unknown>;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) Object.assign(copy, value);
  copy[key] = put(copy[key], rest, leaf);
  return copy;
}

/** The setting that the value at a dotted path comes from. */
export function settingAt(settings: readonly Setting[], path: string): string | undefined {
  const found = settings.findLast((setting) => {
    const own = formatPath(setting.path);
    return path === own || path.startsWith(`${own}.`) || path.startsWith(`${own}[`);
  });
  return found && `--set ${formatPath(found.path)}=${found.source}`;
}
