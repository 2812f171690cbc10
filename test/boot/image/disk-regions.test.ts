/** Overlap against a map of every byte of a small disk. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DiskRegion } from '../../../src/boot/image/disk-regions.ts';
import { checkRegions } from '../../../src/boot/image/disk-regions.ts';
import { isTreewrightError } from '../../../src/core/errors.ts';

const region = fc.record({
  kind: fc.constantFrom('table', 'loader', 'blob', 'partition'),
  start: fc.nat(60),
  length: fc.nat(12),
  move: fc.boolean(),
});

test('what checkRegions refuses and accepts is what a map of the bytes says', () => {
  fc.assert(
    fc.property(fc.array(region, { maxLength: 7 }), fc.constantFrom('mbr', 'gpt'), (drawn, table) => {
      const regions: DiskRegion[] = drawn.map(({ kind, start, length, move }, i) => ({
        kind,
        what: `<${i}>`,
        start,
        end: start + length,
        ...(move && { move: `the offset of <${i}>` }),
      }));
      const owners = Array.from({ length: 80 }, (_, at) =>
        regions.filter(({ start, end }) => at >= start && at < end).map(({ what }) => what),
      );
      try {
        checkRegions(regions, table);
        expect(owners.every((owner) => owner.length <= 1)).toBe(true);
      } catch (error) {
        if (!isTreewrightError(error)) throw error;
        expect(error.code).toBe('config/disk-overlap');
        const [first, second] = [String(error.data['first']), String(error.data['second'])];
        expect(owners.some((owner) => owner.includes(first) && owner.includes(second))).toBe(true);
        expect(error.message).toContain(first);
        expect(error.message).toContain(second);
        expect(error.message).toMatch(/; (?:use|give|set|change) /);
      }
    }),
    { numRuns: 2000 },
  );
});
