import CPostgres

/// Several statements in one round trip (PostgreSQL documentation, 34.5, "Pipeline Mode").
extension PostgresConnection {
    func runPipeline(_ statements: [SQL]) throws -> [PostgresResult] {
        guard let begin = try takeBegin() else { return try pipelined(statements) }
        return Array(try pipelined([begin] + statements).dropFirst())
    }

    func runAndCommit(_ statements: [SQL]) throws -> [PostgresResult] {
        let results = try runPipeline(statements + ["COMMIT"])
        if let commit = results.last { try Self.checkCommitted(commit) }
        control.block = .committed
        return Array(results.dropLast())
    }

    func pipelined(_ batch: [SQL]) throws -> [PostgresResult] {
        try tracked {
            let commands = try batch.map { sql in
                let (text, parameters) = sql.rendered()
                return (text: text, values: try ParameterBuffer(parameters))
            }
            guard PQenterPipelineMode(handle.raw) == 1 else {
                throw PostgresError.connectionLost(handle.lastError)
            }
            defer {
                // Fails only if results are left unread, and then the connection is of no use any more.
                if PQexitPipelineMode(handle.raw) != 1 { control.markBroken() }
            }
            return try sendPipeline(commands)
        }
    }

    private func sendPipeline(
        _ commands: [(text: String, values: ParameterBuffer)]
    ) throws -> [PostgresResult] {
        enum Expected {
            case prepare(Statement)
            case result
        }
        var expected: [Expected] = []
        for command in commands {
            uses += 1
            let statement = Statement(text: command.text, types: command.values.types)
            let name: String
            if let known = statements[statement]?.name {
                name = known
            } else {
                guard !command.text.utf8.contains(0) else {
                    throw PostgresError.unencodable("a statement holds a NUL byte")
                }
                name = "s\(uses)"
                let types = statement.types
                guard PQsendPrepare(handle.raw, name, command.text, Int32(types.count), types) == 1 else {
                    throw PostgresError.connectionLost(handle.lastError)
                }
                statements[statement] = Prepared(name: name, lastUse: uses)
                expected.append(.prepare(statement))
            }
            statements[statement]?.lastUse = uses
            let sent = command.values.withPointers {
                PQsendQueryPrepared(handle.raw, name, command.values.count, $0, $1, $2, 0)
            }
            guard sent == 1 else { throw PostgresError.connectionLost(handle.lastError) }
            expected.append(.result)
        }
        guard PQpipelineSync(handle.raw) == 1 else { throw PostgresError.connectionLost(handle.lastError) }

        var results: [PostgresResult] = []
        var firstFailure: PostgresError?
        for item in expected {
            // Each command's results end with a NULL.
            guard let raw = PQgetResult(handle.raw) else {
                throw PostgresError.connectionLost(handle.lastError)
            }
            let result = PostgresResult(raw)
            while let more = PQgetResult(handle.raw) { PQclear(more) }
            let wasSkipped = PQresultStatus(raw) == PGRES_PIPELINE_ABORTED
            let failure = wasSkipped ? nil : failure(of: result)
            firstFailure = firstFailure ?? failure
            switch item {
            case .prepare(let statement): if wasSkipped || failure != nil { statements[statement] = nil }
            case .result: results.append(result)
            }
            if case .connectionLost = failure { break }
        }
        if let sync = PQgetResult(handle.raw) { PQclear(sync) }
        if let firstFailure { throw firstFailure }
        return results
    }
}
