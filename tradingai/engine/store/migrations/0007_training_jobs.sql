-- A training is a job of kind train whose target is the model's id, whatever is trained.

UPDATE jobs
SET kind = 'train',
    target = 'lstm_' || target,
    params = json_set(json_remove(params, '$.symbol'), '$.model', 'lstm_' || target, '$.symbols', NULL)
WHERE kind = 'train_lstm';
