// zlib data to bytes (RFC 1950, 1951), for browsers without DecompressionStream. The checksum is not looked at.
"use strict";

function inflate(input) {
  const LENGTH = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
  const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
  const DISTANCE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
  const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
  let output = new Uint8Array(input.length * 4);
  let size = 0;
  let place = 2; // after zlib's header
  let held = 0;
  let numHeld = 0;

  const bits = (count) => {
    while (numHeld < count) {
      if (place >= input.length) throw new Error("the data ends early");
      held |= input[place++] << numHeld;
      numHeld += 8;
    }
    const value = held & ((1 << count) - 1);
    held >>>= count;
    numHeld -= count;
    return value;
  };
  const put = (byte) => {
    if (size === output.length) {
      const larger = new Uint8Array(size * 2);
      larger.set(output);
      output = larger;
    }
    output[size++] = byte;
  };
  // A canonical Huffman code: how many codes of each length there are, and the symbols in the codes' order.
  const code = (lengths) => {
    const counts = new Array(16).fill(0);
    for (const length of lengths) counts[length]++;
    counts[0] = 0;
    const symbols = [...lengths.keys()].filter((each) => lengths[each]).sort((a, b) => lengths[a] - lengths[b] || a - b);
    return { counts, symbols };
  };
  const symbol = ({ counts, symbols }) => {
    let first = 0;
    let index = 0;
    for (let value = 0, length = 1; length < 16; length++) {
      value |= bits(1);
      if (value - first < counts[length]) return symbols[index + value - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      value <<= 1;
    }
    throw new Error("no such code");
  };
  const ofLengths = (num, from) => {
    const lengths = [];
    while (lengths.length < num) {
      const found = symbol(from);
      if (found < 16) lengths.push(found);
      else {
        const [value, times] =
          found === 16 ? [lengths.at(-1), 3 + bits(2)] : [0, found === 17 ? 3 + bits(3) : 11 + bits(7)];
        for (let i = 0; i < times; i++) lengths.push(value);
      }
    }
    return lengths;
  };

  for (let isLast = 0; !isLast; ) {
    isLast = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      held = numHeld = 0; // stored bytes begin at a whole byte
      const length = input[place] | (input[place + 1] << 8);
      place += 4;
      for (let i = 0; i < length; i++) put(input[place++]);
      continue;
    }
    let literals;
    let distances;
    if (kind === 1) {
      literals = code(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
      distances = code(new Array(30).fill(5));
    } else {
      const [numLiterals, numDistances, numCodes] = [257 + bits(5), 1 + bits(5), 4 + bits(4)];
      const lengths = new Array(19).fill(0);
      for (let i = 0; i < numCodes; i++) lengths[CODE_ORDER[i]] = bits(3);
      const both = ofLengths(numLiterals + numDistances, code(lengths));
      literals = code(both.slice(0, numLiterals));
      distances = code(both.slice(numLiterals));
    }
    for (let found = symbol(literals); found !== 256; found = symbol(literals)) {
      if (found < 256) {
        put(found);
        continue;
      }
      const length = LENGTH[found - 257] + bits(LENGTH_BITS[found - 257]);
      const step = symbol(distances);
      const distance = DISTANCE[step] + bits(step < 4 ? 0 : (step >> 1) - 1);
      for (let i = 0; i < length; i++) put(output[size - distance]);
    }
  }
  return output.subarray(0, size);
}
