/** What updates cost, as a table. */
import type { UpdateCosts } from '../release/update-cost.ts';
import { formatBytes, formatCount, formatPercent } from './format.ts';
import { columns } from './summary.ts';

/** One line an update: download and requests, what they would be without the delta, writes and memory on the device. */
export function updateCostLines({ updates }: UpdateCosts): string[] {
  return columns(
    updates.map(({ version, delta, loose, deviceWrites }) => {
      const { bytes, requests } = delta ?? loose;
      const writes = deviceWrites.objects + deviceWrites.boot;
      return [
        version === undefined ? 'from nothing' : `from ${version}`,
        formatBytes(bytes),
        `${formatCount(requests)} req`,
        delta === undefined
          ? 'no delta'
          : `instead of ${formatBytes(loose.bytes)}, ${formatCount(loose.requests)} req (${formatPercent(bytes, loose.bytes)})`,
        `writes ${formatBytes(writes)}`,
        delta === undefined ? '' : `needs ${formatBytes(delta.memory.total)} of memory`,
      ];
    }),
    [1, 2],
  );
}
