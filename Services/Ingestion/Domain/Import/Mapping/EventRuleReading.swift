import Models

extension ImportMappingReading {
    private static let maxRules = 100

    func events(_ reader: inout MappingReader) -> [ImportMapping.EventRule] {
        guard let value = reader.required("events", expected: "a list of events") else { return [] }
        guard let elements = value.array, (1...Self.maxRules).contains(elements.count) else {
            log.report(value, "events", expected: "a list of 1 to \(Self.maxRules) events")
            return []
        }
        var rules: [ImportMapping.EventRule] = []
        for (index, element) in elements.enumerated() {
            guard let rule = event(element, "events.\(index)") else { continue }
            if rules.contains(where: { $0.id == rule.id }) {
                log.report(
                    "events.\(index).id", expected: "an id of its own", found: "a second “\(rule.id)”")
            }
            rules.append(rule)
        }
        return rules
    }

    private func event(_ value: JSON, _ path: String) -> ImportMapping.EventRule? {
        guard var reader = MappingReader(value, path, log, expected: "{ id, type, timestamp, … }") else {
            return nil
        }
        let id = reader.text("id", expected: "a text, part of every messageId")
        let when = conditions(&reader)
        if !reader.has("type") {
            log.report(path, expected: "`type`: track, identify or group", found: "no `type`")
        }
        let kind = reader.optionalChoice("type", as: ImportMapping.EventRule.Kind.self)
        let name = reader.optionalText("event", expected: "the name of the event")
        let properties = reader.optional("properties").map { ($0, reader.path(to: "properties")) }
        let traits = reader.optional("traits").map { ($0, reader.path(to: "traits")) }
        let userID = template("user-id", &reader)
        let anonymousID = template("anonymous-id", &reader)
        let externalIDs = externalIDs(&reader)
        if !reader.has("user-id"), !reader.has("anonymous-id"), !reader.has("external-ids") {
            log.report(
                path, expected: "`user-id`, `anonymous-id`, `external-ids` or several: who it was",
                found: "none")
        }
        let groupID = template("group-id", &reader)
        if (kind == .group) != reader.has("group-id"), let kind {
            log.report(
                path, expected: "`group-id` with the type group and no other",
                found: "\(kind.rawValue) \(groupID == nil ? "without" : "with") one")
        }
        let timestamp = reader.required("timestamp", expected: "a column of type time")
            .flatMap { timeColumn($0, reader.path(to: "timestamp")) }
        reader.finish()
        switch kind {
        case .track:
            if name == nil {
                log.report(path, expected: "`event`: the name of the track", found: "no `event`")
            }
            if let (value, path) = traits {
                log.report(value, path, expected: "`properties`; traits are an identify's or a group's")
            }
        case .identify, .group:
            if name != nil || properties != nil {
                log.report(path, expected: "`traits` alone", found: "`event` or `properties`, a track's")
            }
        case nil: break
        }
        let body = (kind == .track ? properties : traits).map { object($0.0, $0.1) } ?? []
        guard let id, let kind, let timestamp else { return nil }
        return ImportMapping.EventRule(
            id: id, when: when, kind: kind, event: name, userID: userID, anonymousID: anonymousID,
            externalIDs: externalIDs, groupID: groupID, timestamp: timestamp, body: body)
    }

    private func externalIDs(_ reader: inout MappingReader) -> [ImportMapping.EventRule.ExternalID] {
        let expected = "a list such as [{ type: \"salesforce:contact\", id: \"{Contact}\" }]"
        let items = reader.optionalList("external-ids", expected: expected)
        if items.count > Identifier.mostExternal {
            log.report(
                reader.path(to: "external-ids"), expected: "at most \(Identifier.mostExternal)",
                found: "\(items.count)")
        }
        return items.compactMap { value, path in
            guard var item = MappingReader(value, path, log, expected: "{ type, id }") else { return nil }
            let expected = "a type such as salesforce:contact"
            let type = item.text("type", expected: expected)
            if let type, Identifier.Kind(externalType: type) == nil {
                log.report(.string(type), item.path(to: "type"), expected: expected)
            }
            let id = item.required("id", expected: "a text with a column in it, such as \"{Contact}\"")
                .flatMap { template($0, item.path(to: "id")) }
            item.finish()
            guard let type, let id else { return nil }
            return ImportMapping.EventRule.ExternalID(type: type, id: id)
        }
    }

    private func template(_ key: String, _ reader: inout MappingReader) -> TextTemplate? {
        reader.optional(key).flatMap { template($0, reader.path(to: key)) }
    }

    // MARK: Values

    private func object(_ value: JSON, _ path: String, depth: Int = 0) -> [RowExpression.Member] {
        guard let members = value.object, depth < 20 else {
            log.report(value, path, expected: "an object of names and values, nested less than 20 deep")
            return []
        }
        return members.sorted { $0.key < $1.key }.compactMap { name, value in
            expression(value, MappingReader.join(path, name), depth: depth + 1).map {
                RowExpression.Member(key: name, value: $0)
            }
        }
    }

    private func expression(_ value: JSON, _ path: String, depth: Int) -> RowExpression? {
        switch value {
        case .bool, .integer: return .constant(value)
        // Written out, because amounts must not be rounded.
        case .double(let number): return .constant(.string("\(number)"))
        case .string(let text):
            return text.contains("{") ? template(value, path).map { .template($0) } : .constant(value)
        case .null, .array:
            log.report(
                value, path,
                expected: "a text, a number, { column: … }, { sum-of: … }, { rows: … } or an object")
            return nil
        case .object(let members):
            if members["column"] != nil { return columnExpression(value, path) }
            if members["sum-of"] != nil { return sumExpression(value, path) }
            if members.count == 1, let rows = members["rows"] {
                return .rows(object(rows, MappingReader.join(path, "rows"), depth: depth))
            }
            return .object(object(value, path, depth: depth))
        }
    }

    private func columnExpression(_ value: JSON, _ path: String) -> RowExpression? {
        guard var reader = MappingReader(value, path, log, expected: "{ column: … }") else { return nil }
        let negate = flag("negate", &reader)
        let found = reader.optional("column").flatMap { value in
            negate == true
                ? numericColumn(value, reader.path(to: "column")) : column(value, reader.path(to: "column"))
        }
        reader.finish()
        return found.map { .column($0, negate: negate ?? false) }
    }

    private func sumExpression(_ value: JSON, _ path: String) -> RowExpression? {
        guard var reader = MappingReader(value, path, log, expected: "{ sum-of: […] }") else { return nil }
        let negate = flag("negate", &reader)
        let written = reader.optionalList("sum-of", expected: "a list of one or two columns")
        if !(1...2).contains(written.count) {
            log.report(path, expected: "one or two columns to multiply", found: "\(written.count)")
        }
        let factors = written.compactMap { numericColumn($0.value, $0.path) }
        reader.finish()
        return .sum(factors, negate: negate ?? false)
    }

    private func flag(_ key: String, _ reader: inout MappingReader) -> Bool? {
        guard let value = reader.optional(key) else { return nil }
        if value.bool == nil { log.report(value, reader.path(to: key), expected: "true or false") }
        return value.bool
    }

    // MARK: Catalog

    func catalog(_ value: JSON, _ path: String) -> ImportMapping.CatalogRule? {
        guard var reader = MappingReader(value, path, log, expected: "{ key, item }") else { return nil }
        let when = conditions(&reader)
        let key = reader.required("key", expected: "the column that identifies the product")
            .flatMap { column($0, reader.path(to: "key")) }
        _ = reader.required("item", expected: "an object with the members of the item")
        var members: [(key: String, value: ImportMapping.CatalogRule.Member)] = []
        for (name, value, path) in reader.optionalMembers("item", expected: "an object") {
            if let member = catalogMember(value, path) { members.append((name, member)) }
        }
        reader.finish()
        return key.map { ImportMapping.CatalogRule(when: when, key: $0, members: members) }
    }

    private func catalogMember(_ value: JSON, _ path: String) -> ImportMapping.CatalogRule.Member? {
        switch value {
        case .string, .bool, .integer: return .constant(value)
        case .double(let number): return .constant(.string("\(number)"))
        default: break
        }
        guard var reader = MappingReader(value, path, log, expected: "a text, a number or { column: … }")
        else {
            return nil
        }
        let column = reader.required("column", expected: "the name of a column")
            .flatMap { self.column($0, reader.path(to: "column")) }
        let choice = reader.optionalChoice("choose", as: ImportMapping.CatalogRule.Choice.self)
        reader.finish()
        return column.map { .column($0, choose: choice ?? .latest) }
    }
}
