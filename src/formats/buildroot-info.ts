/** What `make show-info` of Buildroot prints: a JSON object of packages. Source: package/pkg-utils.mk, `json-info`. */
import { z } from 'zod';
import { compareUtf8 } from '../core/bytes.ts';

export interface BuildrootPackage {
  readonly name: string;
  /** Empty for packages that are a part of Buildroot or of a local directory. */
  readonly version: string;
  /** As the package says, such as `GPL-2.0+, MIT`; absent when it does not. */
  readonly licenses?: string;
  readonly cpe?: string;
}

const entry = z.object({
  type: z.string().optional(),
  virtual: z.boolean().optional(),
  version: z.string().optional(),
  licenses: z.string().optional(),
  install_target: z.boolean().optional(),
  'cpe-id': z.string().optional(),
});

/**
 * The packages of the target that install something, by name. Undefined for a text that is not show-info's.
 */
export function decodeShowInfo(text: string): BuildrootPackage[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = z.record(z.string(), entry).safeParse(value);
  if (!result.success) return undefined;
  return Object.entries(result.data)
    .filter(
      ([, { type, virtual, install_target: installs }]) =>
        type === 'target' && virtual !== true && installs !== false,
    )
    .sort(([a], [b]) => compareUtf8(a, b))
    .map(([name, { version = '', licenses, 'cpe-id': cpe }]) => ({
      name,
      version,
      ...(licenses === undefined || licenses === 'unknown' ? {} : { licenses }),
      ...(cpe === undefined ? {} : { cpe }),
    }));
}
