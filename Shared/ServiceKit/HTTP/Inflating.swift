import CZlib

/// Reads compressed bodies (RFC 1950, 1951 and 1952), never holding more than the limit of what comes out.
enum Inflating {
    enum Failure: Error {
        case tooLarge
        case notCompressed
    }

    /// The content codings that are read; `deflate` with and without the header of zlib, because clients send both.
    static let codings = ["gzip", "deflate"]

    /// The plain bytes, at most `limit` of them. A small body that inflates to a huge one is found out after `limit`.
    static func inflate(_ bytes: [UInt8], coding: String, limit: Int) throws(Failure) -> [UInt8] {
        var stream = z_stream()
        guard martlet_inflate_init(&stream, windowBits(bytes, coding: coding)) == Z_OK else {
            throw .notCompressed
        }
        defer { inflateEnd(&stream) }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        var input = bytes
        let total = input.count
        let outcome: Result<Void, Failure> = input.withUnsafeMutableBufferPointer { source in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(total)
            while true {
                let status = chunk.withUnsafeMutableBufferPointer { target in
                    stream.next_out = target.baseAddress
                    stream.avail_out = UInt32(target.count)
                    return CZlib.inflate(&stream, Z_NO_FLUSH)
                }
                let count = chunk.count - Int(stream.avail_out)
                guard output.count + count <= limit else { return .failure(.tooLarge) }
                output.append(contentsOf: chunk[..<count])
                switch status {
                case Z_STREAM_END:
                    // A gzip body may have several members, one after the other.
                    if stream.avail_in == 0 { return .success(()) }
                    guard coding == "gzip", inflateReset(&stream) == Z_OK else {
                        return .failure(.notCompressed)
                    }
                case Z_OK where stream.avail_in > 0 || stream.avail_out == 0: continue
                default: return .failure(.notCompressed)
                }
            }
        }
        try outcome.get()
        return output
    }

    private static func windowBits(_ bytes: [UInt8], coding: String) -> Int32 {
        if coding == "gzip" { return 15 + 16 }
        // The first two bytes of zlib's header are a multiple of 31 and name the method 8.
        let hasHeader =
            bytes.count >= 2 && bytes[0] & 0x0F == 8 && (Int(bytes[0]) << 8 | Int(bytes[1])) % 31 == 0
        return hasHeader ? 15 : -15
    }
}
