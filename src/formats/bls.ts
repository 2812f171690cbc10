/**
 * Boot Loader Specification entries (type 1), the files in /boot/loader/entries.
 * Source: uapi-group.org "Boot Loader Specification"; the order of the keys is libostree's
 * (ostree-bootconfig-parser.c).
 */
import { compareUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

/** One line of an entry. Keys may repeat: `initrd` does with overlay initramfs images. */
export interface BlsField {
  readonly key: string;
  readonly value: string;
}

/** libostree writes these first and in this order, whatever else is in the entry. */
const LEADING_KEYS: readonly string[] = ['title', 'version', 'options', 'devicetree', 'linux', 'initrd'];

/** An entry larger than this is refused, in UTF-16 units. */
const MAX_ENTRY_LENGTH = 64 * 1024;

const KEY = /^[A-Za-z][A-Za-z0-9_-]*$/;

function fail(line: number, problem: string): never {
  throw new TreewrightError('input/bad-bls', `boot loader entry, line ${line}: ${problem}`, {
    data: { line },
  });
}

/**
 * The lines of an entry in their order. Empty lines and lines that start with `#` are skipped; anything else
 * must be a key, one blank or more, and a value.
 */
export function parseBlsEntry(text: string): BlsField[] {
  if (text.length > MAX_ENTRY_LENGTH) {
    throw new TreewrightError(
      'input/bad-bls',
      `a boot loader entry has ${text.length} characters, at most ${MAX_ENTRY_LENGTH} are expected`,
    );
  }
  const fields: BlsField[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, key = '', value = ''] =
      /^(\S+)[ \t]+(.+)$/s.exec(line) ?? fail(i + 1, 'expected a key and a value');
    if (!KEY.test(key)) fail(i + 1, `${JSON.stringify(key)} is not a key`);
    if (/[\0\r]/.test(value)) fail(i + 1, `the value of ${key} holds a control character`);
    fields.push({ key, value });
  }
  return fields;
}

/** The first value of a key. */
export function blsValue(fields: readonly BlsField[], key: string): string | undefined {
  return fields.find((field) => field.key === key)?.value;
}

/**
 * The text of an entry: libostree's known keys first, then the others by name. libostree leaves the order of those
 * others to a hash table, so where it writes two or more of them its own order may differ; no reader cares.
 */
export function formatBlsEntry(fields: readonly BlsField[]): string {
  for (const { key, value } of fields) {
    if (!KEY.test(key) || value === '' || /[\n\0\r]/.test(value) || /^[ \t]/.test(value)) {
      throw new TreewrightError(
        'input/bad-bls',
        `a boot loader entry cannot hold the key ${JSON.stringify(key)} with the value ${JSON.stringify(value)}`,
      );
    }
  }
  const rank = (key: string): number => {
    const place = LEADING_KEYS.indexOf(key);
    return place < 0 ? LEADING_KEYS.length : place;
  };
  return [...fields]
    .sort((a, b) => rank(a.key) - rank(b.key) || compareUtf8(a.key, b.key))
    .map(({ key, value }) => `${key} ${value}\n`)
    .join('');
}
