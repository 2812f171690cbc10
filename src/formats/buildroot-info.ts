/** What `make show-info` of Buildroot prints: a JSON object of packages. Source: package/pkg-utils.mk, `json-info`. */
import { compareUtf8 } from '../core/bytes.ts';

export interface BuildrootPackage {
  readonly name: string;
  /** Empty for packages that are a part of Buildroot or of a local directory. */
  readonly version: string;
  /** As the package says, such as `GPL-2.0+, MIT`; absent when it does not. */
  readonly licenses?: string;
  readonly cpe?: string;
}

/** The packages of the target that install something, by name. Undefined for a text that is not show-info's. */
export function decodeShowInfo(text: string): BuildrootPackage[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const packages: BuildrootPackage[] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (!isObject(entry)) return undefined;
    if (entry['type'] !== 'target' || entry['virtual'] === true || entry['install_target'] === false)
      continue;
    const licenses = textOf(entry['licenses']);
    const cpe = textOf(entry['cpe-id']);
    packages.push({
      name,
      version: textOf(entry['version']) ?? '',
      ...(licenses === undefined || licenses === 'unknown' ? {} : { licenses }),
      ...(cpe === undefined ? {} : { cpe }),
    });
  }
  return packages.sort((a, b) => compareUtf8(a.name, b.name));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
