import Models

/// Makes events of groups of rows, as the mapping says.
struct EventBuilder: Sendable {
    let mapping: Mapping
    /// Added to every time (`--shift-to-now`).
    let shift: Duration

    enum Outcome: Sendable, Equatable {
        case events([JSON])
        case skipped(reason: String, rows: Int)
        case refused([RowReader.Refusal])
    }

    func outcome(of group: RowGroup) -> Outcome {
        // An order with an unreadable line would have a wrong total: it is refused whole.
        guard group.refusals.isEmpty else { return .refused(group.refusals) }
        guard let first = group.rows.first else { return .refused([]) }
        if let skip = mapping.skips.first(where: { $0.when.hold(group.rows) }) {
            return .skipped(reason: skip.reason, rows: group.rows.count)
        }
        var events: [JSON] = []
        for rule in mapping.events where rule.when.hold(group.rows) {
            switch event(of: rule, group: group, first: first) {
            case .success(let event): events.append(event)
            case .failure(let problem): return .refused([problem.refusal])
            }
        }
        guard !events.isEmpty else {
            return .refused([
                RowReader.Refusal(
                    line: first.line,
                    reason:
                        "no rule of the mapping fits \"\(group.key)\"; expected an event or a reason to skip it"
                )
            ])
        }
        return .events(events)
    }

    private struct Unfit: Error { let refusal: RowReader.Refusal }

    private func event(of rule: Mapping.EventRule, group: RowGroup, first: Row) -> Result<JSON, Unfit> {
        func unfit(_ reason: String) -> Result<JSON, Unfit> {
            .failure(Unfit(refusal: RowReader.Refusal(line: first.line, reason: reason)))
        }
        // The rows of a group must agree on whose event it is.
        for column in (rule.userID?.columns ?? []) + (rule.anonymousID?.columns ?? []) {
            if let other = group.rows.first(where: { $0.values[column] != first.values[column] }) {
                return unfit(
                    "\(mapping.columns[column].name) is \"\(first.values[column].text)\" here and"
                        + " \"\(other.values[column].text)\" in line \(other.line); expected one per group")
            }
        }
        guard case .time(let time) = first.values[rule.timestamp] else {
            return unfit("\(mapping.columns[rule.timestamp].name) is empty; expected a time")
        }
        var event: [String: JSON] = [
            "type": .string(rule.type),
            "messageId": .string("\(mapping.name):\(rule.id):\(group.key)"),
            "timestamp": .string((time + shift).rfc3339),
            "context": ["library": ["name": "martlet-import", "version": .string(Martlet.version)]],
        ]
        if let user = rule.userID?.text(first) {
            event["userId"] = .string(user)
        } else if let anonymous = rule.anonymousID?.text(first) {
            event["anonymousId"] = .string(anonymous)
        } else {
            return unfit("nobody: the columns of user-id and anonymous-id are empty")
        }
        let body = Expression.object(rule.body).json(group.rows[...])
        if rule.type == "track" {
            event["event"] = rule.event.map { .string($0) }
            event["properties"] = body
        } else {
            event["traits"] = body
        }
        return .success(.object(event))
    }
}
