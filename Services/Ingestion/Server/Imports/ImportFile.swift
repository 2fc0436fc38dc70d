import IngestionDomain
import Models
import ServiceKit

/// Reads a stored file from its beginning, in pieces of bounded size, inflated where it is packed.
struct ImportFile {
    /// Why reading ends early.
    enum End: Error, Equatable {
        /// Somebody has paused or cancelled the import, or begun it anew.
        case notWanted
    }

    private let stored: StoredImport
    private let store: ImportFileStore
    private let maxInflatedBytes: Int64
    /// Whether reading goes on only while the import runs.
    private let whileRunning: Bool
    private var gzip: GzipReader?
    private var isKnown = false
    private var head: [UInt8] = []
    private var plain: [UInt8]?
    private var inflatedBytes: Int64 = 0
    /// How many bytes of the stored file were read.
    private(set) var offset: Int64 = 0

    init(
        _ stored: StoredImport, in store: ImportFileStore, maxInflatedBytes: Int64, whileRunning: Bool
    ) {
        self.stored = stored
        self.store = store
        self.maxInflatedBytes = maxInflatedBytes
        self.whileRunning = whileRunning
    }

    /// The next piece; nil at the end of what is stored.
    mutating func next() async throws -> [UInt8]? {
        while true {
            if let piece = try unpack() {
                inflatedBytes += Int64(piece.count)
                guard inflatedBytes <= maxInflatedBytes else {
                    throw UnreadableFile(
                        line: 1, message: "the file has more than \(maxInflatedBytes) bytes unpacked")
                }
                return piece
            }
            guard let bytes = try await read() else {
                guard gzip?.isWhole ?? true else { throw Self.notGzip }
                return nil
            }
            take(bytes)
        }
    }

    private static let notGzip = UnreadableFile(
        line: 1, message: "the file begins like a gzip file and is none, or ends early")

    private mutating func unpack() throws -> [UInt8]? {
        if let gzip {
            do { return try gzip.next() } catch { throw Self.notGzip }
        }
        defer { plain = nil }
        return plain
    }

    private mutating func take(_ bytes: [UInt8]) {
        if let gzip {
            gzip.append(bytes)
        } else {
            plain = bytes
        }
    }

    /// The next piece as it is stored. The first is long enough to tell what the file is.
    private mutating func read() async throws -> [UInt8]? {
        if isKnown { return try await stored(at: offset) }
        while head.count < 2, let more = try await stored(at: offset) { head += more }
        isKnown = true
        if GzipReader.isGzip(head) { gzip = try GzipReader() }
        defer { head = [] }
        return head.isEmpty ? nil : head
    }

    private mutating func stored(at offset: Int64) async throws -> [UInt8]? {
        guard offset < stored.storedBytes else { return nil }
        guard let piece = try await store.piece(of: stored.id, at: offset) else { throw End.notWanted }
        if whileRunning, piece.state != .running || piece.run != stored.run { throw End.notWanted }
        self.offset += Int64(piece.bytes.count)
        return piece.bytes
    }
}
