/** The text files of a device's repository: where it looks for updates and what it trusts. */

/** A remote as `ostree remote add` writes it. */
export interface Remote {
  readonly name: string;
  /** Absent when it is not known: the device has no remote then, and somebody must add one. */
  readonly url?: string;
  /** ed25519 public keys in base64; none: signatures are not checked. */
  readonly publicKeys: readonly string[];
}

/** The file of a remote's keys when there are several: libostree takes one inline, or a file with one a line. */
export function keysFile({ name }: Remote): string {
  return `ostree/repo/${name}.trusted-keys.ed25519`;
}

/** `config` of the bare repository on the device. */
export function repositoryConfig(remote: Remote, readonly: boolean): string {
  const lines = ['[core]', 'repo_version=1', 'mode=bare', ''];
  if (readonly) lines.push('[sysroot]', 'readonly=true', '');
  if (remote.url !== undefined) {
    const { publicKeys } = remote;
    lines.push(`[remote "${remote.name}"]`, `url=${remote.url}`, 'gpg-verify=false');
    const [first] = publicKeys;
    if (first !== undefined) {
      lines.push(
        publicKeys.length === 1
          ? `verification-ed25519-key=${first}`
          : `verification-ed25519-file=/${keysFile(remote)}`,
        'sign-verify=ed25519',
      );
    }
    lines.push('');
  }
  return lines.join('\n');
}

/** `<deployment>.origin`: what `ostree admin upgrade` follows. */
export function originFile({ name }: Remote, branch: string): string {
  return `[origin]\nrefspec=${name}:${branch}\n`;
}
