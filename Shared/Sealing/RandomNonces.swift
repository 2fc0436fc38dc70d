import Glibc
import Synchronization

/// Random nonces of 96 bits from the system's generator, which is asked for several at once: asking costs more than sealing
/// a short text. Each is handed out once.
enum RandomNonces {
    private static let size = 12
    /// As many as fit in what getentropy(3) gives at most, 256 bytes.
    private static let many = 21
    private static let left = Mutex<[UInt8]>([])

    /// Throws where the system has no randomness to give.
    static func next() throws -> [UInt8] {
        try left.withLock { left in
            if left.isEmpty {
                left = try [UInt8](unsafeUninitializedCapacity: many * size) { buffer, filled in
                    guard getentropy(buffer.baseAddress, many * size) == 0 else { throw NoRandomness() }
                    filled = many * size
                }
            }
            let nonce = Array(left.suffix(size))
            left.removeLast(size)
            return nonce
        }
    }

    struct NoRandomness: Error {}
}
