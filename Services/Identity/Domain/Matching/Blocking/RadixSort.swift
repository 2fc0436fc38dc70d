/// Sorts words by their upper halves, leaving equal ones in their order: three passes of eleven bits.
enum RadixSort {
    static func sort(_ words: inout [UInt64]) {
        guard words.count > 64 else {
            // The lower half is a record, and records were put in by number: the order is the same.
            words.sort()
            return
        }
        var other = [UInt64](repeating: 0, count: words.count)
        for shift in [UInt64(32), 43, 54] {
            words.withUnsafeBufferPointer { from in
                other.withUnsafeMutableBufferPointer { into in pass(from, into, shift) }
            }
            swap(&words, &other)
        }
    }

    private static func pass(
        _ from: UnsafeBufferPointer<UInt64>, _ into: UnsafeMutableBufferPointer<UInt64>, _ shift: UInt64
    ) {
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 2048) { places in
            places.initialize(repeating: 0)
            for word in from { places[Int(word >> shift & 2047)] += 1 }
            var sum = 0
            for index in 0..<2048 {
                let count = places[index]
                places[index] = sum
                sum += count
            }
            for word in from {
                let digit = Int(word >> shift & 2047)
                into[places[digit]] = word
                places[digit] += 1
            }
        }
    }
}
