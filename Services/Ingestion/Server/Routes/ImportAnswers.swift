import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

extension StoredImport {
    /// The import with its mapping.
    func answer(status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> ServiceResponse {
        var members = json.object ?? [:]
        members["mapping"] = mapping ?? .null
        var headers = headers
        headers[.eTag] = "\"\(version)\""
        return .json(.object(members), status: status, headers: headers)
    }

    /// The import as lists show it.
    var json: JSON {
        func time(_ instant: Instant?) -> JSON { instant.map { .string($0.rfc3339) } ?? .null }
        var members = countsJSON
        members["importId"] = .string(id.description)
        members["sourceId"] = .string(sourceID.description)
        members["name"] = .string(name)
        members["format"] = .string(format.rawValue)
        members["version"] = .integer(Int64(version))
        members["shiftToNow"] = .bool(shiftToNow)
        members["state"] = .string(state.rawValue)
        members["failure"] = failure.map { .string($0) } ?? .null
        members["expectedBytes"] = expectedBytes.map { .integer($0) } ?? .null
        members["storedBytes"] = .integer(storedBytes)
        members["readBytes"] = .integer(readBytes)
        members["hasFile"] = .bool(hasFile)
        members["createdAt"] = time(createdAt)
        members["touchedAt"] = time(touchedAt)
        members["startedAt"] = time(startedAt)
        members["endedAt"] = time(endedAt)
        let seconds = Double(active.milliseconds) / 1000
        members["eventsPerSecond"] = seconds > 0 ? .integer(Int64(Double(counts.received) / seconds)) : .null
        return .object(members)
    }

    /// What became of its rows and events.
    var countsJSON: [String: JSON] {
        func number(_ value: Int) -> JSON { .integer(Int64(value)) }
        return [
            "rows": [
                "read": number(counts.rows), "imported": number(counts.rowsImported),
                "skipped": number(counts.rowsSkipped), "refused": number(counts.rowsRefused),
            ],
            "groups": number(counts.groups),
            "events": [
                "received": number(counts.received), "accepted": number(counts.accepted),
                "duplicate": number(counts.duplicate), "quarantined": number(counts.quarantined),
                "refused": number(counts.refused),
            ],
            "problems": number(counts.problems),
        ]
    }
}

extension ImportProblem {
    var json: JSON {
        ["line": .integer(Int64(line)), "kind": .string(kind.rawValue), "reason": .string(reason)]
    }
}

extension ImportPreview.Result {
    var json: JSON {
        var rows = 0
        let groups = zip(self.groups, items).map { group, items -> JSON in
            rows += group.rows
            var members: [String: JSON] = [
                "line": .integer(Int64(group.line)), "rows": .integer(Int64(group.rows)),
                "events": .array(items.map { Self.json($0.item, $0.messageID, $0.verdict) }),
            ]
            switch group.outcome {
            case .events: members["outcome"] = "events"
            case .skipped(let reason):
                members["outcome"] = "skipped"
                members["reason"] = .string(reason)
            case .refused(let refusals):
                members["outcome"] = "refused"
                members["problems"] = .array(refusals.map(\.json))
            }
            return .object(members)
        }
        return [
            "rows": .integer(Int64(rows)), "readToEnd": .bool(readToEnd), "groups": .array(groups),
        ]
    }

    private static func json(_ item: ImportBatch.Item, _ messageID: String?, _ verdict: Verdict) -> JSON {
        var members: [String: JSON] = [
            "messageId": messageID.map { .string($0) } ?? .null, "status": .string(verdict.name),
            "event": (try? JSONParser.parse(item.bytes)) ?? .null,
        ]
        if let refusal = verdict.refusal {
            members["reason"] = .string("\(refusal.reason.rawValue): \(refusal.detail)")
        }
        return .object(members)
    }
}

extension RowRefusal {
    fileprivate var json: JSON {
        [
            "line": .integer(Int64(line)), "reason": .string(reason),
            "found": found.map { .string($0) } ?? .null,
        ]
    }
}
