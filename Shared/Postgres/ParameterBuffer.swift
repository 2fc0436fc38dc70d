/// Parameter values laid out as libpq wants them: texts end with a NUL, binary values have a length.
struct ParameterBuffer {
    private var bytes: [UInt8] = []
    private var offsets: [Int?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []
    /// The types by object id, 0 where the server infers it; empty where it infers them all.
    private(set) var types: [UInt32] = []

    var count: Int32 { Int32(offsets.count) }

    init(_ parameters: [SQLParameter]) throws(PostgresError) {
        guard parameters.count <= Int(UInt16.max) else {
            throw .unencodable("a statement takes at most 65535 parameters; bind arrays instead")
        }
        bytes.reserveCapacity(parameters.reduce(0) { $0 + $1.size + 1 })
        for (index, parameter) in parameters.enumerated() {
            switch parameter {
            case .text(nil): append(offset: nil, length: 0, format: 0)
            case .text(let text?):
                let start = bytes.count
                bytes.append(contentsOf: text.utf8)
                guard !bytes[start...].contains(0) else {
                    throw .unencodable("parameter $\(index + 1) holds a NUL byte")
                }
                bytes.append(0)
                append(offset: start, length: 0, format: 0)
            case .binary(let value, _):
                let start = bytes.count
                bytes.append(contentsOf: value)
                append(offset: start, length: Int32(value.count), format: 1)
            }
        }
        if parameters.contains(where: { $0.type != 0 }) { types = parameters.map(\.type) }
    }

    private mutating func append(offset: Int?, length: Int32, format: Int32) {
        offsets.append(offset)
        lengths.append(length)
        formats.append(format)
    }

    /// Lends the values, their lengths and their formats.
    func withPointers<R>(
        _ body: (
            UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
        ) -> R
    ) -> R {
        bytes.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let pointers: [UnsafePointer<CChar>?] = offsets.map { offset in
                guard let offset, let base else { return nil }
                return base + offset
            }
            return pointers.withUnsafeBufferPointer { pointers in
                lengths.withUnsafeBufferPointer { lengths in
                    formats.withUnsafeBufferPointer { formats in
                        body(pointers.baseAddress, lengths.baseAddress, formats.baseAddress)
                    }
                }
            }
        }
    }
}

extension SQLParameter {
    fileprivate var size: Int {
        switch self {
        case .text(let text): text?.utf8.count ?? 0
        case .binary(let bytes, _): bytes.count
        }
    }
}
