/** The names a configuration gives to things, and the shapes that other systems demand of them. */

/** Parts of a ref as libostree's ostree_validate_rev takes them, kept to ASCII so that URLs need no escaping. */
export const BRANCH = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/;

/** Goes into TUF target names and hardware ids, where aktualizr and TUF only agree on ASCII. */
export const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$/;

/** Also a directory name under releases/ and a part of a URL. */
export const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}$/;

/** An app's name is a directory on the device and a repository name in a registry. */
export const APP_NAME = /^[a-z0-9]+(?:[_-][a-z0-9]+)*$/;

/** A stateroot is a single directory name. */
export const OSNAME = /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$/;

/** 64 hexadecimal digits: libostree takes such a name for a commit, never for a branch. */
const LOOKS_LIKE_COMMIT = /^[0-9a-f]{64}$/;

/** The longest file name that Linux file systems store. */
const NAME_MAX = 255;

/** Why a branch name cannot be used, or undefined when it can. */
export function branchProblem(branch: string): string | undefined {
  if (branch === '') return 'it is empty';
  if (LOOKS_LIKE_COMMIT.test(branch)) return 'libostree would take it for a commit checksum';
  for (const part of branch.split('/')) {
    if (part === '') return 'it has an empty part: no slash at either end, none doubled';
    if (/^[.-]/.test(part)) return `a part may not begin with ${JSON.stringify(part[0])}`;
    if (part.length > NAME_MAX) return `a part is longer than ${NAME_MAX} characters`;
  }
  if (!BRANCH.test(branch)) return 'only letters, digits, "_", "-", "." and "/" may be used';
  return undefined;
}

/** Why a version cannot name a release, or undefined when it can. */
export function versionProblem(version: string): string | undefined {
  if (VERSION.test(version)) return undefined;
  if (version === '') return 'it is empty';
  if (!/^[A-Za-z0-9]/.test(version)) return 'it must begin with a letter or a digit';
  if (version.length > 100) return 'it is longer than 100 characters';
  return 'only letters, digits, ".", "_", "-", "+" and "~" may be used';
}

/** Turns any folder or host name into an identifier: `My Gateway!` gives `my-gateway`; undefined when nothing is left. */
export function toIdentifier(text: string): string | undefined {
  const name = text
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._+-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
    .toLowerCase()
    .slice(0, 100);
  return IDENTIFIER.test(name) ? name : undefined;
}
