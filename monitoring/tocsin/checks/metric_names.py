"""Names of metrics that AWS publishes beyond those of the catalog, so that a real metric is never called a mistake.

From metric_metadata.json of the Python package awslabs.cloudwatch-mcp-server 0.3.1 (Copyright Amazon.com, Inc. or its affiliates,
Apache-2.0; names only), with the EventBridge metrics of its user guide, page "Monitoring Amazon EventBridge".
"""

from __future__ import annotations

#: Namespace → metric names, separated by spaces.
NAMES = {
    "AWS/Lambda": (
        "AsyncEventAge AsyncEventsDropped AsyncEventsReceived ClaimedAccountConcurrency ConcurrentExecutions "
        "DeadLetterErrors DeletedEventCount DestinationDeliveryFailures DroppedEventCount Duration Errors "
        "FailedInvokeEventCount FilteredOutEventCount Invocations InvokedEventCount IteratorAge OffsetLag "
        "OnFailureDestinationDeliveredEventCount OversizedRecordCount PolledEventCount "
        "PostRuntimeExtensionsDuration ProvisionedConcurrencyInvocations "
        "ProvisionedConcurrencySpilloverInvocations ProvisionedConcurrencyUtilization "
        "ProvisionedConcurrentExecutions ProvisionedPollers RecursiveInvocationsDropped Throttles "
        "UnreservedConcurrentExecutions "
    ),
    "AWS/SQS": (
        "ApproximateAgeOfOldestMessage ApproximateNumberOfGroupsWithInflightMessages "
        "ApproximateNumberOfMessagesDelayed ApproximateNumberOfMessagesNotVisible "
        "ApproximateNumberOfMessagesVisible NumberOfDeduplicatedSentMessages NumberOfEmptyReceives "
        "NumberOfMessagesDeleted NumberOfMessagesReceived NumberOfMessagesSent SentMessageSize "
    ),
    "AWS/DynamoDB": (
        "AccountMaxReads AccountMaxTableLevelReads AccountMaxTableLevelWrites AccountMaxWrites "
        "AccountProvisionedReadCapacityUtilization AccountProvisionedWriteCapacityUtilization "
        "AgeOfOldestUnreplicatedRecord ConditionalCheckFailedRequests ConsumedChangeDataCaptureUnits "
        "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits FailedToReplicateRecordCount "
        "MaxProvisionedTableReadCapacityUtilization MaxProvisionedTableWriteCapacityUtilization "
        "OnDemandMaxReadRequestUnits OnDemandMaxWriteRequestUnits OnlineIndexConsumedWriteCapacity "
        "OnlineIndexPercentageProgress OnlineIndexThrottleEvents PendingReplicationCount "
        "ProvisionedReadCapacityUnits ProvisionedWriteCapacityUnits ReadThrottleEvents ReplicationLatency "
        "ReturnedBytes ReturnedItemCount ReturnedRecordsCount SuccessfulRequestLatency SystemErrors "
        "ThrottledPutRecordCount ThrottledRequests TimeToLiveDeletedItemCount TransactionConflict UserErrors "
        "WriteThrottleEvents "
    ),
    "AWS/ApiGateway": (
        "4XXError 4xx 5XXError 5xx CacheHitCount CacheMissCount ClientError ConnectCount Count DataProcessed "
        "ExecutionError IntegrationError IntegrationLatency Latency MessageCount "
    ),
    "AWS/RDS": (
        "ACUUtilization AbortedClients ActiveTransactions AuroraBinlogReplicaLag AuroraDMLRejectedMasterFull "
        "AuroraDMLRejectedWriterFull AuroraEstimatedSharedMemoryBytes AuroraForwardingReplicaCommitThroughput "
        "AuroraForwardingReplicaDMLLatency AuroraForwardingReplicaDMLThroughput "
        "AuroraForwardingReplicaErrorSessionsLimit AuroraForwardingReplicaOpenSessions "
        "AuroraForwardingReplicaReadWaitLatency AuroraForwardingWriterDMLThroughput "
        "AuroraForwardingWriterOpenSessions AuroraForwardingWriterTotalSessions "
        "AuroraGlobalDBDataTransferBytes AuroraGlobalDBProgressLag AuroraGlobalDBRPOLag "
        "AuroraGlobalDBReplicatedWriteIO AuroraGlobalDBReplicationLag AuroraMemoryHealthState "
        "AuroraMemoryNumDeclinedSqlTotal AuroraMemoryNumKillConnTotal AuroraMemoryNumKillQueryTotal "
        "AuroraMillisecondsSpentInOomRecovery AuroraNumOomRecoverySuccessful AuroraNumOomRecoveryTriggered "
        "AuroraOptimizedReadsCacheHitRatio AuroraReplicaLag AuroraReplicaLagMaximum AuroraReplicaLagMinimum "
        "AuroraSlowConnectionHandleCount AuroraSlowHandshakeCount AuroraVolumeBytesLeftTotal "
        "Aurora_pq_bytes_returned Aurora_pq_max_concurrent_requests Aurora_pq_pages_pushed_down "
        "Aurora_pq_request_attempted Aurora_pq_request_executed Aurora_pq_request_failed "
        "Aurora_pq_request_in_progress Aurora_pq_request_not_chosen "
        "Aurora_pq_request_not_chosen_below_min_rows Aurora_pq_request_not_chosen_column_bit "
        "Aurora_pq_request_not_chosen_column_geometry Aurora_pq_request_not_chosen_column_lob "
        "Aurora_pq_request_not_chosen_column_virtual Aurora_pq_request_not_chosen_custom_charset "
        "Aurora_pq_request_not_chosen_fast_ddl Aurora_pq_request_not_chosen_few_pages_outside_buffer_pool "
        "Aurora_pq_request_not_chosen_full_text_index Aurora_pq_request_not_chosen_high_buffer_pool_pct "
        "Aurora_pq_request_not_chosen_index_hint Aurora_pq_request_not_chosen_innodb_table_format "
        "Aurora_pq_request_not_chosen_long_trx Aurora_pq_request_not_chosen_no_where_clause "
        "Aurora_pq_request_not_chosen_range_scan Aurora_pq_request_not_chosen_row_length_too_long "
        "Aurora_pq_request_not_chosen_small_table Aurora_pq_request_not_chosen_temporary_table "
        "Aurora_pq_request_not_chosen_tx_isolation Aurora_pq_request_not_chosen_unsupported_access "
        "Aurora_pq_request_not_chosen_unsupported_storage_type "
        "Aurora_pq_request_not_chosen_update_delete_stmts Aurora_pq_request_throttled "
        "BacktrackChangeRecordsCreationRate BacktrackChangeRecordsStored BacktrackWindowActual "
        "BacktrackWindowAlert BackupRetentionPeriodStorageUsed BinLogDiskUsage BlockedTransactions "
        "BufferCacheHitRatio BurstBalance CPUCreditBalance CPUCreditUsage CPUSurplusCreditBalance "
        "CPUSurplusCreditsCharged CPUUtilization CheckpointLag CommitLatency CommitThroughput "
        "ConnectionAttempts DBLoad DBLoadCPU DBLoadNonCPU DBLoadRelativeToNumVCPUs DDLLatency DDLThroughput "
        "DMLLatency DMLThroughput DatabaseConnections Deadlocks DeleteLatency DeleteThroughput DiskQueueDepth "
        "DiskQueueDepthLogVolume EBSByteBalance% EBSIOBalance% EngineUptime FailedSQLServerAgentJobsCount "
        "ForwardingMasterDMLLatency ForwardingMasterDMLThroughput ForwardingMasterOpenSessions "
        "ForwardingReplicaDMLLatency ForwardingReplicaDMLThroughput ForwardingReplicaOpenSessions "
        "ForwardingReplicaReadWaitLatency ForwardingReplicaReadWaitThroughput ForwardingReplicaSelectLatency "
        "ForwardingReplicaSelectThroughput ForwardingWriterDMLLatency ForwardingWriterDMLThroughput "
        "ForwardingWriterOpenSessions FreeEphemeralStorage FreeLocalStorage FreeLocalStoragePercent "
        "FreeStorageSpace FreeStorageSpaceLogVolume FreeableMemory IamDbAuthConnectionRequests InsertLatency "
        "InsertThroughput LoginFailures MaximumUsedTransactionIDs NetworkReceiveThroughput NetworkThroughput "
        "NetworkTransmitThroughput NumBinaryLogFiles OldestReplicationSlotLag PurgeBoundary "
        "PurgeFinishedPoint Queries RDSToAuroraPostgreSQLReplicaLag ReadIOPS ReadIOPSEphemeralStorage "
        "ReadIOPSLocalStorage ReadIOPSLogVolume ReadLatency ReadLatencyEphemeralStorage "
        "ReadLatencyLocalStorage ReadLatencyLogVolume ReadThroughput ReadThroughputEphemeralStorage "
        "ReadThroughputLocalStorage ReadThroughputLogVolume ReplicaLag ReplicationChannelLag "
        "ReplicationSlotDiskUsage ResultSetCacheHitRatio RollbackSegmentHistoryListLength RowLockTime "
        "SelectLatency SelectThroughput ServerlessDatabaseCapacity SnapshotStorageUsed "
        "StorageNetworkReceiveThroughput StorageNetworkThroughput StorageNetworkTransmitThroughput "
        "SumBinaryLogSize SwapUsage TempStorageIOPS TempStorageThroughput TotalBackupStorageBilled "
        "TransactionAgeMaximum TransactionLogsDiskUsage TransactionLogsGeneration TruncateFinishedPoint "
        "UpdateLatency UpdateThroughput VolumeBytesUsed VolumeReadIOPs VolumeWriteIOPs WriteIOPS "
        "WriteIOPSEphemeralStorage WriteIOPSLocalStorage WriteIOPSLogVolume WriteLatency "
        "WriteLatencyEphemeralStorage WriteLatencyLocalStorage WriteLatencyLogVolume WriteThroughput "
        "WriteThroughputEphemeralStorage WriteThroughputLocalStorage WriteThroughputLogVolume "
    ),
    "AWS/SNS": (
        "NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed "
        "NumberOfNotificationsFailedToRedriveToDlq NumberOfNotificationsFilteredOut "
        "NumberOfNotificationsFilteredOut-InvalidAttributes "
        "NumberOfNotificationsFilteredOut-InvalidMessageBody "
        "NumberOfNotificationsFilteredOut-MessageAttributes NumberOfNotificationsFilteredOut-MessageBody "
        "NumberOfNotificationsFilteredOut-NoMessageAttributes NumberOfNotificationsRedrivenToDlq PublishSize "
        "SMSMonthToDateSpentUSD SMSSuccessRate "
    ),
    "AWS/Events": (
        "Events FailedInvocations IngestionToInvocationCompleteLatency IngestionToInvocationStartLatency "
        "IngestionToInvocationSuccessLatency InvocationAttempts Invocations InvocationsCreated "
        "InvocationsFailedToBeSentToDlq InvocationsSentToDlq MatchedEvents PutEventsApproximateCallCount "
        "PutEventsApproximateFailedCount PutEventsApproximateSuccessCount PutEventsApproximateThrottledCount "
        "PutEventsEntriesCount PutEventsFailedEntriesCount PutEventsLatency PutEventsRequestSize "
        "PutPartnerEventsApproximateCallCount RetryInvocationAttempts SuccessfulInvocationAttempts "
        "ThrottledRules TriggeredRules "
    ),
    "AWS/Scheduler": (
        "InvocationAttemptCount InvocationDroppedCount InvocationThrottleCount "
        "InvocationsFailedToBeSentToDeadLetterCount InvocationsSentToDeadLetterCount "
        "InvocationsSentToDeadLetterCount_Truncated_MessageSizeExceeded TargetErrorCount "
        "TargetErrorThrottledCount "
    ),
    "AWS/S3": (
        "4xxErrors 5xxErrors AllRequests BucketSizeBytes BytesDownloaded BytesPendingReplication "
        "BytesUploaded DeleteRequests FirstByteLatency GetRequests HeadRequests ListRequests NumberOfObjects "
        "OperationsFailedReplication OperationsPendingReplication PostRequests PutRequests ReplicationLatency "
        "SelectBytesReturned SelectBytesScanned SelectRequests TotalRequestLatency "
    ),
}
