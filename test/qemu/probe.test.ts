import { expect, test } from 'vitest';
import { runTool } from '../reference/tools.ts';
test('qemu starts', async () => {
  const { stdout } = await runTool('qemu-system-aarch64', ['--version'], { suite: 'qemu' });
  expect(stdout).toContain('QEMU emulator');
});
