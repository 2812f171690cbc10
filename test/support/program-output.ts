import { execa } from 'execa';

/** What a program prints, byte for byte: execa would take a last byte 0x0a away, which may be a checksum's. */
export async function programOutput(
  program: string,
  args: readonly string[],
  input?: Uint8Array,
): Promise<Uint8Array> {
  const { stdout } = await execa(program, args, {
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  return stdout;
}
