import Foundation
import Models

extension PseudonymousView {
    /// A file of rows (RFC 4180), as segments are exported: the first columns are Martlet's, and what stands in the others is
    /// an identifier or a trait, of which truths alone stay. What a column is called is Martlet's, or the caller's, who has
    /// asked for it; only the first of several pages says so.
    func shown(csv bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count)
        for (number, row) in Self.rows(bytes).enumerated() {
            let isHeader = number == 0 && row.first == Self.firstColumn
            for (place, cell) in row.enumerated() {
                if place > 0 { text.append(UInt8(ascii: ",")) }
                // A pseudonym needs no quotes, and neither does what stays.
                let stays = place < Self.ownColumns ? Self.stays(cell) : ["", "true", "false"].contains(cell)
                let shown = isHeader || stays ? cell : pseudonyms.pseudonym(of: cell)
                text.append(contentsOf: shown.utf8)
            }
            text.append(contentsOf: "\r\n".utf8)
        }
        return text
    }

    private static let firstColumn = "profileId"
    /// The profile, since when, and the version of the rule.
    private static let ownColumns = 3

    private static func stays(_ cell: String) -> Bool {
        if cell.isEmpty || isIDOrTime(cell) || ["true", "false", "null"].contains(cell) { return true }
        return Double(cell) != nil && !PersonalNames.looksPersonal(cell)
    }

    /// The cells of each row, without their quotes.
    private static func rows(_ bytes: [UInt8]) -> [[String]] {
        var rows: [[String]] = []
        var (row, cell): ([String], [UInt8]) = ([], [])
        var isQuoted = false
        var wasQuoted = false
        func end() {
            row.append(String(decoding: cell, as: UTF8.self))
            cell.removeAll()
            wasQuoted = false
        }
        for (place, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "\""):
                // Two of them within quotes stand for one.
                if !isQuoted, wasQuoted, bytes[place - 1] == byte { cell.append(byte) }
                isQuoted.toggle()
                wasQuoted = true
            case UInt8(ascii: ",") where !isQuoted: end()
            case UInt8(ascii: "\n") where !isQuoted:
                if cell.last == UInt8(ascii: "\r") { cell.removeLast() }
                end()
                rows.append(row)
                row = []
            default: cell.append(byte)
            }
        }
        if !cell.isEmpty || !row.isEmpty {
            end()
            rows.append(row)
        }
        return rows
    }
}
