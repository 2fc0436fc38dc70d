import Models

/// Makes events of groups of rows, as the mapping says.
struct RowEventBuilder: Sendable {
    let mapping: ImportMapping
    /// Added to every time.
    let shift: Duration
    let limits: ImportLimits

    enum Outcome: Sendable, Equatable {
        case events([JSON])
        case skipped(reason: String)
        case refused([RowRefusal])
    }

    func outcome(of group: RowGroup) -> Outcome {
        guard !group.isTooLarge else {
            return .refused([
                RowRefusal(line: group.line, reason: "more than \(limits.groupRows) rows belong to one event")
            ])
        }
        // An order with an unreadable line would have a wrong total: it is refused whole.
        guard group.refusals.isEmpty else { return .refused(group.refusals) }
        guard let first = group.rows.first else { return .refused([]) }
        if let skip = mapping.skips.first(where: { $0.when.hold(group.rows) }) {
            return .skipped(reason: skip.reason)
        }
        var events: [JSON] = []
        for rule in mapping.events where rule.when.hold(group.rows) {
            do throws(RowRefusal) {
                events.append(try event(of: rule, group: group, first: first))
            } catch {
                return .refused([error])
            }
        }
        guard !events.isEmpty else {
            return .refused([
                RowRefusal(
                    line: first.line,
                    reason: "no rule of the mapping fits; expected an event or a reason to skip it",
                    found: group.key)
            ])
        }
        return .events(events)
    }

    private func event(
        of rule: ImportMapping.EventRule, group: RowGroup, first: ImportRow
    ) throws(RowRefusal) -> JSON {
        // The rows of a group must agree on whose event it is.
        for column in rule.subjectColumns {
            if let other = group.rows.first(where: { $0.values[column] != first.values[column] }) {
                throw RowRefusal(
                    line: first.line,
                    reason: "\(mapping.columns[column].name) is another one in line \(other.line);"
                        + " expected one per group",
                    found: "\(first.values[column].text)” and “\(other.values[column].text)")
            }
        }
        guard case .time(let time) = first.values[rule.timestamp] else {
            throw RowRefusal(
                line: first.line, reason: "\(mapping.columns[rule.timestamp].name) is empty; expected a time")
        }
        var event: [String: JSON] = [
            "type": .string(rule.kind.rawValue),
            "messageId": .string("\(mapping.name):\(rule.id):\(group.key)"),
            "timestamp": .string((time + shift).rfc3339),
        ]
        var context: [String: JSON] = ["library": ["name": "martlet-import"]]
        let externalIDs = rule.externalIDs.compactMap { external -> JSON? in
            external.id.text(first).map { id in
                [
                    "id": .string(id), "type": .string(external.type), "collection": "users",
                    "encoding": "none",
                ]
            }
        }
        if !externalIDs.isEmpty { context["externalIds"] = .array(externalIDs) }
        event["context"] = .object(context)
        if let user = rule.userID?.text(first) {
            event["userId"] = .string(user)
        } else if let anonymous = rule.anonymousID?.text(first) {
            event["anonymousId"] = .string(anonymous)
        } else if externalIDs.isEmpty {
            throw RowRefusal(
                line: first.line,
                reason: "nobody: the columns of user-id, anonymous-id and external-ids are empty")
        }
        let body = RowExpression.object(rule.body).json(group.rows[...])
        switch rule.kind {
        case .track:
            event["event"] = rule.event.map { .string($0) }
            event["properties"] = body
        case .identify: event["traits"] = body
        case .group:
            guard let group = rule.groupID?.text(first) else {
                throw RowRefusal(line: first.line, reason: "no account: the column of group-id is empty")
            }
            event["groupId"] = .string(group)
            event["traits"] = body
        }
        return .object(event)
    }
}
