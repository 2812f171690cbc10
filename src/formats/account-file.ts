/** /etc/passwd and /etc/group, as far as names and numbers go. Source: passwd(5), group(5). */

/** Numbers by names; the third field of both files. Lines that are none are passed over, as libc does. */
export function decodeAccountIds(text: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name = '', , id = ''] = line.split(':');
    // The first line of a name is the one that counts.
    if (name !== '' && /^\d{1,10}$/.test(id) && !ids.has(name)) ids.set(name, Number(id));
  }
  return ids;
}
