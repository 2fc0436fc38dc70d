import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// The members of a segment as a file, page by page: `GET /v1/segments/{id}/export`.
struct ExportRoutes {
    let pool: PostgresPool
    let profiles: ProfileStore

    private static let most = 10_000

    private enum Format: String, CaseIterable { case csv, ndjson }

    func add(to router: ServiceRouter) {
        router.get("/v1/segments/{id}/export", scope: .segmentsRead, touches: .people) {
            try await export($0)
        }
    }

    private func export(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard let format = Format(rawValue: try request.query("format") ?? Format.csv.rawValue) else {
            throw Problem.badRequest("`format` must be csv or ndjson")
        }
        let limit = try request.query("limit", in: 1...Self.most, default: 1_000)
        let fields = try Self.fields(try request.query("fields", maxBytes: 2_048))
        if !fields.isEmpty, !request.caller.may(.profilesRead) {
            throw Problem.forbidden(
                "`fields` tells what is known of people: use a key with the scope profiles:read as well")
        }
        let after = try MemberRoutes.position(try request.query("cursor"))
        let export = MemberExport(profiles: profiles, fields: fields)
        let (rows, next) = try await pool.transaction(isolation: .repeatableRead) { transaction in
            guard try await SegmentStore(transaction).segment(id) != nil else { throw Problem.noSegment }
            let found = try await MembershipStore.members(
                of: id, after: after, limit: limit + 1, in: transaction)
            let shown = Array(found.prefix(limit))
            return (
                try await export.rows(of: shown, in: transaction),
                found.count > limit ? shown.last?.profileID : nil
            )
        }
        var headers: HTTPFields = [
            .contentDisposition: "attachment; filename=\"\(id).\(format.rawValue)\"",
            .cacheControl: "no-store",
        ]
        if let next {
            // Where the next page is (RFC 8288); there is none after the last.
            var query = "format=\(format.rawValue)&limit=\(limit)"
            if !fields.isEmpty { query += "&fields=" + fields.map(\.escaped).joined(separator: ",") }
            query += "&cursor=" + Cursor.encode([next.description])
            headers[.link] = "</v1/segments/\(id)/export?\(query)>; rel=\"next\""
        }
        let (text, type) =
            switch format {
            // Only the first page names the columns, so that pages one after the other are one file.
            case .csv:
                (Self.csv(rows, fields, isFirst: after == nil), "text/csv; charset=utf-8; header=present")
            case .ndjson: (Self.ndjson(rows, fields), "application/x-ndjson")
            }
        return .bytes(Array(text.utf8), contentType: type, headers: headers)
    }

    private static func fields(_ text: String?) throws(Problem) -> [ExportField] {
        guard let text else { return [] }
        var fields: [ExportField] = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let field = ExportField(String(name)), !fields.contains(field) else {
                throw .badRequest(
                    "`fields` must be names of identifiers and traits, each once, such as email,traits.firstName; "
                        + "“\(name.prefix(64))” is none")
            }
            fields.append(field)
        }
        guard fields.count <= ExportField.most else {
            throw .badRequest("`fields` may name \(ExportField.most) at most")
        }
        return fields
    }

    private static func csv(_ rows: [MemberExport.Row], _ fields: [ExportField], isFirst: Bool) -> String {
        var text = isFirst ? CSVText.line(["profileId", "enteredAt", "version"] + fields.map(\.name)) : ""
        for row in rows {
            text += CSVText.line(
                [
                    row.member.profileID.description, row.member.enteredAt.rfc3339,
                    String(row.member.version),
                ] + row.values.map(CSVText.text))
        }
        return text
    }

    private static func ndjson(_ rows: [MemberExport.Row], _ fields: [ExportField]) -> String {
        var text = ""
        for row in rows {
            var members = row.member.json
            for (field, value) in zip(fields, row.values) { members[field.name] = value ?? .null }
            text += JSON.object(members).compact + "\n"
        }
        return text
    }
}

extension ExportField {
    /// As part of a query (RFC 3986).
    fileprivate var escaped: String {
        name.utf8.reduce(into: "") { text, byte in
            let scalar = Unicode.Scalar(byte)
            let isPlain =
                scalar.properties.isAlphabetic && scalar.isASCII || ("0"..."9").contains(scalar)
                || ["-", ".", "_", "~", ":"].contains(scalar)
            let hex = String(byte, radix: 16, uppercase: true)
            text += isPlain ? String(scalar) : "%" + (hex.count == 1 ? "0" : "") + hex
        }
    }
}
