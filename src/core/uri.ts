/**
 * An address without what only those who may log in shall know: passwords, and names that are tokens. The name stays where
 * it is an account that everybody uses, as in `ssh://git@host`.
 */
export function withoutCredentials(uri: string): string {
  const [, scheme, user, rest] = /^([a-z][a-z0-9+.-]*:\/\/)([^/]*)@(.*)$/is.exec(uri) ?? [];
  if (scheme === undefined || user === undefined || rest === undefined) return uri;
  const [name = ''] = user.split(':');
  return /ssh/i.test(scheme) && name !== '' ? `${scheme}${name}@${rest}` : scheme + rest;
}
