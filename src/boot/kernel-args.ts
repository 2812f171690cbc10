/**
 * Kernel arguments in libostree's way (ostree-kernel-args.c): a list of words in which quotes protect blanks, and
 * "replace" puts a new value where the first one of its key stood.
 */
import { TreewrightError } from '../core/errors.ts';

/** The words of a command line; a double quote protects blanks, and an open one reaches to the end. */
export function splitKernelArgs(text: string): string[] {
  const words: string[] = [];
  let quoted = false;
  let word = '';
  for (const char of text.replace(/^ +/, '')) {
    if (char === '"') quoted = !quoted;
    if (char === ' ' && !quoted) {
      words.push(word);
      word = '';
    } else {
      word += char;
    }
  }
  if (word !== '') words.push(word);
  return words;
}

/** What precedes the first `=`. */
function keyOf(word: string): string {
  const equals = word.indexOf('=');
  return equals < 0 ? word : word.slice(0, equals);
}

/** `word` in the place of the first argument of its key, the others of that key gone; at the end when new. */
export function replaceKernelArg(words: readonly string[], word: string): string[] {
  const key = keyOf(word);
  const place = words.findIndex((other) => keyOf(other) === key);
  if (place < 0) return [...words, word];
  return [...words.slice(0, place), word, ...words.slice(place + 1).filter((other) => keyOf(other) !== key)];
}

/** The value of the last argument of that key; undefined when it is absent or has no `=`. */
export function kernelArgValue(words: readonly string[], key: string): string | undefined {
  const word = words.findLast((other) => keyOf(other) === key);
  return word?.includes('=') === true ? word.slice(key.length + 1) : undefined;
}

/** Configured arguments as words. Refuses what could not stand on one line of uEnv.txt, and `ostree=`, which is not the user's. */
export function configuredKernelArgs(kargs: readonly string[]): string[] {
  const words = kargs.flatMap(splitKernelArgs).filter((word) => word !== '');
  for (const word of words) {
    if (/[\x00-\x1f\x7f]/.test(word)) {
      throw new TreewrightError(
        'config/bad-karg',
        `the kernel argument ${JSON.stringify(word)} contains a control character`,
      );
    }
    if (keyOf(word) === 'ostree') {
      throw new TreewrightError(
        'config/bad-karg',
        `the kernel argument ${JSON.stringify(word)} is set for each deployment by OSTree; remove it from boot.kargs`,
      );
    }
    if (word.split('"').length % 2 === 0) {
      throw new TreewrightError(
        'config/bad-karg',
        `the kernel argument ${JSON.stringify(word)} has a double quote without its partner`,
      );
    }
  }
  return words;
}
