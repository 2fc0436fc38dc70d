import IngestionDomain

/// The columns of a CSV file that records are matched on.
struct MatchFile {
    private(set) var ids: [String] = []
    private(set) var values: [[String?]]

    init(path: String, columns: MatchColumns, id: String?) throws {
        values = Array(repeating: [], count: columns.names.count)
        let file = try LocalFile(path: path)
        var reader = CSVReader()
        var places: [Int]?
        var idPlace: Int?
        var ended = false
        while !ended {
            if let bytes = try file.next() {
                reader.append(bytes)
            } else {
                reader.finish()
                ended = true
            }
            do {
                while let record = try reader.next() {
                    guard let places else {
                        let header = Self.names(record)
                        places = try columns.names.map { try Self.place(of: $0, in: header, path) }
                        idPlace = try id.map { try Self.place(of: $0, in: header, path) }
                        continue
                    }
                    for (column, place) in places.enumerated() {
                        // A value that is no text is one that nothing is known of.
                        let text = place < record.count ? record.text(place) : nil
                        values[column].append(text?.isEmpty == false ? text : nil)
                    }
                    let name = idPlace.flatMap { $0 < record.count ? record.text($0) : nil }
                    ids.append(name ?? "\(ids.count)")
                }
            } catch let error as UnreadableFile {
                throw FileProblem(file: path, line: error.line, message: error.message)
            }
        }
        if places == nil { throw FileProblem(file: path, line: 1, message: "the file is empty") }
    }

    private static func names(_ record: CSVRecord) -> [String] {
        (0..<record.count).map { index in
            let text = (record.text(index) ?? "")[...]
            let start = text.drop { $0.isWhitespace }
            return String(start.reversed().drop { $0.isWhitespace }.reversed())
        }
    }

    private static func place(of name: String, in header: [String], _ path: String) throws -> Int {
        guard let place = header.firstIndex(of: name) else {
            throw FileProblem(
                file: path, line: 1,
                message: "there is no column “\(name)”; expected one of \(header.joined(separator: ", "))")
        }
        return place
    }
}
