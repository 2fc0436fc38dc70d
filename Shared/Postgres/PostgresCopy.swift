import CPostgres

/// Rows in the text form of COPY (PostgreSQL documentation, COPY, "Text Format").
package struct CopyRows: Sendable {
    private(set) var bytes: [UInt8] = []
    /// How many rows were appended.
    package private(set) var count = 0
    private(set) var hasNUL = false

    package init() {}

    /// Appends a row; values in the order of the columns.
    package mutating func append(_ values: (any PostgresEncodable)...) {
        append(row: values)
    }

    /// Appends a row; values in the order of the columns.
    package mutating func append(row values: [any PostgresEncodable]) {
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "\t")) }
            append(field: value.postgresText)
        }
        bytes.append(UInt8(ascii: "\n"))
        count += 1
    }

    private mutating func append(field text: String?) {
        guard let text else {
            bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "N")])
            return
        }
        for byte in text.utf8 {
            switch byte {
            case 0: hasNUL = true
            case UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "\\")])
            case UInt8(ascii: "\n"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
            case UInt8(ascii: "\r"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "r")])
            case UInt8(ascii: "\t"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "t")])
            default: bytes.append(byte)
            }
        }
    }
}

extension PostgresConnection {
    /// Copies rows into a table (`schema.table`) and returns their number; all of them or none.
    @discardableResult
    package nonisolated func copyIn(table: String, columns: [String], rows: CopyRows) async throws -> Int {
        guard !rows.hasNUL else { throw PostgresError.unencodable("a row to copy holds a NUL byte") }
        return try await cancellable {
            try await self.runCopy(table: table, columns: columns, bytes: rows.bytes)
        }
    }

    /// Copies rows into a table; each row has its values in the order of `columns`.
    @discardableResult
    package nonisolated func copyIn(
        table: String, columns: [String], rows: [[any PostgresEncodable]]
    ) async throws -> Int {
        var copy = CopyRows()
        for row in rows { copy.append(row: row) }
        return try await copyIn(table: table, columns: columns, rows: copy)
    }

    private func runCopy(table: String, columns: [String], bytes: [UInt8]) throws -> Int {
        let names = columns.map(SQL.quoted(identifier:)).joined(separator: ", ")
        try beginIfDue()
        return try tracked {
            _ = try checked(
                PQexec(handle.raw, "COPY \(SQL.quoted(identifier: table)) (\(names)) FROM STDIN"))
            var isSent = true
            bytes.withUnsafeBytes { buffer in
                var start = 0
                while isSent, start < buffer.count {
                    let length = min(65536, buffer.count - start)
                    let chunk = buffer.baseAddress.map { ($0 + start).assumingMemoryBound(to: CChar.self) }
                    isSent = PQputCopyData(handle.raw, chunk, Int32(length)) == 1
                    start += length
                }
            }
            guard isSent, PQputCopyEnd(handle.raw, nil) == 1 else {
                throw PostgresError.connectionLost(handle.lastError)
            }
            let result = Result { () throws(PostgresError) in try checked(PQgetResult(handle.raw)) }
            while let more = PQgetResult(handle.raw) { PQclear(more) }
            return try result.get().affected
        }
    }
}
