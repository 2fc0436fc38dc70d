import Models

/// Sends batches to ingestion and reads the verdicts.
struct BatchSender: Sendable {
    let api: APIClient
    /// The base URL of ingestion.
    let url: String
    let writeKey: String
    let waiting: @Sendable (String) -> Void

    /// Sends events until ingestion has a verdict on each.
    func send(_ events: ArraySlice<EncodedEvent>) async throws -> ImportCounts {
        var counts = ImportCounts()
        guard !events.isEmpty else { return counts }
        let answer = try await api.sendUntilAnswered(
            "POST", url + "/v1/import", as: .writeKey(writeKey), body: EncodedEvent.body(events),
            waiting: waiting)
        if answer.status == 200, let json = answer.json {
            let items = json["items"]?.array ?? []
            guard items.count == events.count else {
                throw ImportProblem(
                    "ingestion gave \(items.count) verdicts on \(events.count) events; expected one for each")
            }
            for item in items {
                let id = item["messageId"]?.string ?? "an event without id"
                switch item["status"]?.string {
                case "accepted": counts.accepted += 1
                case "duplicate": counts.duplicate += 1
                default:
                    counts.refuse(
                        id, item["reason"]?.string ?? item["status"]?.string ?? "refused without a reason")
                }
            }
            return counts
        }
        if answer.status == 401 || answer.status == 403 {
            throw ImportProblem("ingestion does not take the write key: \(answer.problem)")
        }
        if answer.status == 404 || answer.status == 405 {
            throw ImportProblem("\(url) is not ingestion: \(answer.problem)")
        }
        // The batch as a whole was refused: halve it until the event that is at fault stands alone.
        if events.count > 1 {
            let middle = events.startIndex + events.count / 2
            counts.add(try await send(events[..<middle]))
            counts.add(try await send(events[middle...]))
        } else {
            counts.refuse(events[events.startIndex].messageID, answer.problem)
        }
        return counts
    }
}
