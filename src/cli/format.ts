/** Numbers and names as people read them. Locale plays no part: the same run prints the same text anywhere. */

import { isAbsolute, relative, sep } from 'node:path';

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `0 B`, `999 B`, `1.5 KiB`, `621 MiB`: three significant digits, binary units. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? 'TiB'}`;
}

/** `+1.5 KiB`, `-20 B`, `0 B`. */
export function formatDifference(bytes: number): string {
  return `${bytes > 0 ? '+' : bytes < 0 ? '-' : ''}${formatBytes(Math.abs(bytes))}`;
}

/** `12,946`. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 file`, `12,946 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`; `milliseconds` is a span. */
export function formatSpan(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `20 %`, never 100 % for less than all of it. */
export function formatPercent(part: number, whole: number): string {
  if (whole <= 0) return '100 %';
  const percent = (100 * part) / whole;
  if (part < whole && percent > 99) return '99 %';
  return `${percent > 0 && percent < 1 ? '<1' : Math.round(percent)} %`;
}

/** Enough of a checksum to recognise it. */
export function shortChecksum(checksum: string): string {
  return checksum.replace(/^sha256:/, '').slice(0, 10);
}

/** A path as one would type it here: relative when it lies below the current directory. */
export function shownPath(path: string, cwd: string = process.cwd()): string {
  const way = relative(cwd, path);
  if (way === '') return '.';
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way) ? path : `.${sep}${way}`;
}

/** An argument as a shell takes it. */
export function shellQuote(argument: string): string {
  return /^[\w@%+=:,./~-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

/** Text from elsewhere, safe to print: control characters become visible instead of steering the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    if (character === '\n' || character === '\t') return character;
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}
