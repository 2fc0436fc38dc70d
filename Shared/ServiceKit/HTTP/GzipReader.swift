import CZlib

/// Reads a gzip file (RFC 1952) out of bytes as they come, and gives out what they hold in pieces of bounded size: a
/// small file that inflates to a huge one costs no more memory than any other.
package final class GzipReader {
    /// What is no gzip file.
    package struct NotGzip: Error {}

    /// Whether a file that begins like this is a gzip file.
    package static func isGzip(_ start: some Collection<UInt8>) -> Bool { start.starts(with: [0x1F, 0x8B]) }

    // zlib keeps a pointer back to it, so it must stay where it is.
    private let stream: UnsafeMutablePointer<z_stream>
    private var input: [UInt8] = []
    private var position = 0
    private var output: [UInt8]
    /// Between two members of the file, or before the first.
    private var isBetween = true

    package init(pieceBytes: Int = 256 << 10) throws(NotGzip) {
        output = Array(repeating: 0, count: pieceBytes)
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard martlet_inflate_init(stream, 15 + 16) == Z_OK else { throw NotGzip() }
    }

    deinit {
        inflateEnd(stream)
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Gives it the next bytes of the file.
    package func append(_ bytes: [UInt8]) {
        if position == input.count { input = bytes } else { input = Array(input[position...]) + bytes }
        position = 0
    }

    /// The next piece of what the file holds; nil where more bytes are needed.
    package func next() throws(NotGzip) -> [UInt8]? {
        while true {
            if isBetween {
                // What is padded with zeros at its end is a gzip file all the same.
                while position < input.count, input[position] == 0 { position += 1 }
                guard position < input.count else { return nil }
                guard inflateReset(stream) == Z_OK else { throw NotGzip() }
                isBetween = false
            }
            let (status, count) = step()
            switch status {
            case Z_STREAM_END: isBetween = true
            case Z_OK, Z_BUF_ERROR: break
            default: throw NotGzip()
            }
            if count > 0 { return Array(output[..<count]) }
            if status != Z_STREAM_END, position == input.count { return nil }
            if status == Z_BUF_ERROR { throw NotGzip() }
        }
    }

    /// Whether the file may end here.
    package var isWhole: Bool { isBetween && position == input.count }

    private func step() -> (status: Int32, count: Int) {
        let rest = input.count - position
        let status = input.withUnsafeMutableBufferPointer { source in
            output.withUnsafeMutableBufferPointer { target in
                stream.pointee.next_in = source.baseAddress.map { $0 + position }
                stream.pointee.avail_in = UInt32(rest)
                stream.pointee.next_out = target.baseAddress
                stream.pointee.avail_out = UInt32(target.count)
                return inflate(stream, Z_NO_FLUSH)
            }
        }
        position += rest - Int(stream.pointee.avail_in)
        return (status, output.count - Int(stream.pointee.avail_out))
    }
}
