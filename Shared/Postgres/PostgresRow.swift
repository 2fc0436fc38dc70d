import CPostgres

/// A result of libpq, freed with its last row. A `PGresult` never changes after it is built, so rows may be read
/// from any thread.
final class PostgresResult: @unchecked Sendable {
    let raw: OpaquePointer
    private let columns: [String]

    init(_ raw: OpaquePointer) {
        self.raw = raw
        columns = (0..<PQnfields(raw)).map { index in PQfname(raw, index).map { String(cString: $0) } ?? "" }
    }

    /// The last column of a name. There are few, and comparing short names is quicker than hashing one.
    func position(of column: String) -> Int32? { columns.lastIndex(of: column).map { Int32($0) } }

    deinit { PQclear(raw) }

    var rows: [PostgresRow] {
        (0..<PQntuples(raw)).map { PostgresRow(result: self, index: $0) }
    }

    /// The number of rows that an INSERT, UPDATE, DELETE, SELECT … touched.
    var affected: Int {
        PQcmdTuples(raw).flatMap { Int(String(cString: $0)) } ?? 0
    }

    /// What the server says that it did, such as "COMMIT" or "INSERT 0 3".
    var commandTag: String {
        PQcmdStatus(raw).map { String(cString: $0) } ?? ""
    }

    func text(row: Int32, column: Int32) -> String? {
        guard PQgetisnull(raw, row, column) == 0, let value = PQgetvalue(raw, row, column) else { return nil }
        let length = Int(PQgetlength(raw, row, column))
        return value.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }
}

/// One row of a result; columns are read by name and decoded when they are asked for.
package struct PostgresRow: Sendable {
    let result: PostgresResult
    let index: Int32

    /// Reads a column; ask for an Optional where NULL may stand: `row.get("ended_at", as: Instant?.self)`.
    package func get<T: PostgresDecodable>(
        _ column: String, as type: T.Type = T.self
    ) throws(PostgresError) -> T {
        guard let position = result.position(of: column) else {
            throw .decoding(column: column, message: "is not in the result")
        }
        do {
            return try T.decode(postgresText: result.text(row: index, column: position))
        } catch let failure as PostgresDecodingFailure {
            throw .decoding(column: column, message: failure.message)
        } catch {
            // Whatever else a type throws could quote the value; its name is enough.
            throw .decoding(column: column, message: "is no \(T.self)")
        }
    }
}
