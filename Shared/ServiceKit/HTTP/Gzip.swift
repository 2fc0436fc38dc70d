import CZlib
import HTTPTypes

/// Packs bytes with gzip (RFC 1952).
package enum Gzip {
    /// The bytes packed as small as zlib can, at some cost: for what is packed once and sent often. Nil where that fails.
    package static func packed(_ bytes: [UInt8]) -> [UInt8]? {
        var stream = z_stream()
        guard martlet_deflate_init(&stream, 15 + 16) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        var input = bytes
        let most = Int(deflateBound(&stream, uLong(bytes.count)))
        var isWhole = false
        let packed = [UInt8](unsafeUninitializedCapacity: most) { output, count in
            input.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = uInt(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = uInt(most)
                isWhole = deflate(&stream, Z_FINISH) == Z_STREAM_END
                count = most - Int(stream.avail_out)
            }
        }
        return isWhole ? packed : nil
    }
}

extension ServiceRequest {
    /// Whether the caller can read what is packed with gzip (RFC 9110, section 12.5.3).
    package var acceptsGzip: Bool {
        (header(.acceptEncoding) ?? "").split(separator: ",").contains { coding in
            let parts = coding.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
            guard let name = parts.first, ["gzip", "x-gzip", "*"].contains(name) else { return false }
            return !parts.dropFirst().contains { $0.hasPrefix("q=") && Double($0.dropFirst(2)) ?? 0 == 0 }
        }
    }
}
